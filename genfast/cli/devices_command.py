from __future__ import annotations

import click


@click.command(name="devices")
def command() -> None:
    """List the devices that can be used, and say why there is no GPU.

    \b
    Examples:
      genfast devices
    """
    import genfast as gf
    from genfast.devices import why_unavailable

    for device in gf.devices():
        click.echo(f"{device.name:<8}{device.memory / 2**30:8.1f} GiB  {device.description}")
    try:
        why = why_unavailable()
    except gf.DeviceError as error:
        why = str(error)
    if why:
        click.echo(f"no GPU: {why}")
