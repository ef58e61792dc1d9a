"""The settings of a script that act where its run is delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wandb.sdk.wandb_settings import Settings

__all__ = ["delivery_variables"]

_NAMES = (
    "api_key",
    "app_url_override",
    "base_url",
    "credentials_file",
    "http_proxy",
    "https_proxy",
    "identity_token_file",
    "ignore_globs",
    "insecure_disable_ssl",
    "x_server_side_derived_summary",
    "x_skip_transaction_log",
    "x_update_finish_state",
)
_PREFIXES = ("x_disable_", "x_file_stream_", "x_file_transfer_", "x_graphql_", "x_save_", "x_stats_")


def delivery_variables(settings: Settings) -> dict[str, str]:
    """The environment variables that give delivery the settings which a script has changed.

    wandb reads each setting from a variable, so this holds for any version of it.
    """
    variables = {}
    for name, field in type(settings).model_fields.items():
        if name not in _NAMES and not name.startswith(_PREFIXES):
            continue
        value = getattr(settings, name)
        if value is None or value == field.get_default(call_default_factory=True):
            continue
        if isinstance(value, list | tuple) and name == "ignore_globs":
            variables["WANDB_IGNORE_GLOBS"] = ",".join(value)
        elif isinstance(value, bool | int | float | str):
            variable = {"app_url_override": "APP_URL"}.get(name, name.upper())
            variables[f"WANDB_{variable}"] = str(value).lower() if isinstance(value, bool) else str(value)
    return variables
