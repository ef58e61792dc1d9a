"""Logs as the classic digits example does: gradients are watched, examples and accuracy come once per epoch."""

import torch
import torch.nn.functional as F
import wandb

torch.manual_seed(0)
run = wandb.init(project="pytorch-mnist", config={"epochs": 3, "lr": 0.01})
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=run.config.lr)
wandb.watch(model, log_freq=4)
for _ in range(run.config.epochs):
    for batch in range(8):
        images, labels = torch.randn(16, 1, 8, 8), torch.randint(0, 10, (16,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        if batch % 2 == 0:
            wandb.log({"loss": loss})
    with torch.no_grad():
        predicted = model(images).argmax(1)
    examples = [
        wandb.Image(image.numpy()[0], caption=f"Pred: {guess} Truth: {truth}")
        for image, guess, truth in zip(images[:3], predicted.tolist(), labels.tolist(), strict=False)
    ]
    accuracy = (predicted == labels).float().mean().item()
    wandb.log({"Examples": examples, "Test Accuracy": 100.0 * accuracy, "Test Loss": loss.item()})
torch.save(model.state_dict(), "mnist_cnn.pt")
wandb.save("mnist_cnn.pt")
