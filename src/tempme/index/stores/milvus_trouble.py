"""Why a Milvus server was not reached: its client says only that it was not."""

from __future__ import annotations

import socket
import ssl

LOOK_SECONDS = 5.0


def why_unreached(host: str, port: int, *, tls: bool, ca: str, told: tuple[str, str]) -> str:
    """What is wrong and what to do, found by connections of its own.

    `ca` is the file of a certificate, or empty. `told` are the names of the variables for the
    token and for that file.
    """
    token, certificate = told
    try:
        socket.create_connection((host, port), timeout=LOOK_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error) or "no answer"
        return f"{reason}; look whether the server runs there"
    speaks_tls = _handshake(host, port, verify=False) is None
    if tls != speaks_tls:
        return f"it answers {'with' if speaks_tls else 'without'} TLS; write " + (
            "milvus+tls://" if speaks_tls else "milvus://"
        )
    trouble = _handshake(host, port, verify=True, ca=ca) if tls else None
    if isinstance(trouble, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({trouble.verify_message}); name the certificate "
            f"that signed it in {certificate}"
        )
    return f"the server listens, but does not let us in; {token} is wrong or missing"


def _handshake(host: str, port: int, *, verify: bool, ca: str = "") -> OSError | None:
    context = ssl.create_default_context(cafile=ca or None)
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, port), timeout=LOOK_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return None
    except OSError as error:
        return error
