"""Builds one row of several calls, as agents do whose episodes end within a step."""

import wandb

run = wandb.init(project="rl", config={"env": "CartPole-v1", "total_timesteps": 2000})
run.define_metric("global_step")
run.define_metric("*", step_metric="global_step")
for update in range(1, 21):
    step = update * 100
    run.log({"charts/learning_rate": 2.5e-4 * (1 - update / 20), "global_step": step}, commit=False)
    if update % 3 == 0:
        run.log({"charts/episodic_return": update * 10.0, "charts/episodic_length": update * 10}, commit=False)
    run.log({"losses/value_loss": 1 / update, "losses/policy_loss": -0.01 * update, "charts/SPS": 1500 + update})
