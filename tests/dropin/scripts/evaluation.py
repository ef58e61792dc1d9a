"""Draws wandb's own charts of an evaluation, with a figure and a page, and sends an alert."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import wandb

random = np.random.default_rng(1)
truth = random.integers(0, 3, 60)
scores = random.dirichlet([1, 1, 1], 60)
run = wandb.init(project="evaluation", job_type="eval", config={"checkpoint": "model:v3"})
names = ["cat", "dog", "bird"]
table = wandb.Table(
    columns=["class", "share"], data=[[name, float(scores[:, k].mean())] for k, name in enumerate(names)]
)
run.log({"shares": wandb.plot.bar(table, "class", "share", title="Shares")})
run.log({"losses": wandb.plot.line_series(xs=[0, 1, 2], ys=[[3, 2, 1], [4, 2, 2]], keys=["a", "b"], title="Losses")})
run.log({"confusion": wandb.plot.confusion_matrix(probs=scores, y_true=truth, class_names=names)})
figure, axes = plt.subplots()
axes.hist(scores[:, 0])
run.log({"scores": wandb.Image(figure), "page": wandb.Html("<h1>done</h1>"), "accuracy": 0.5})
run.alert(title="Evaluated", text="accuracy 0.5", level=wandb.AlertLevel.WARN)
run.finish()
