"""TLS contexts of servers."""

import ssl
import subprocess
import sys

from componentbase import tls


def test_a_self_signed_context_serves() -> None:
    assert isinstance(tls.self_signed_context("x"), ssl.SSLContext)


def test_a_service_that_shows_a_certificate_does_not_load_what_makes_them() -> None:
    script = "import sys, proxy.__main__, scheduler.__main__; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
