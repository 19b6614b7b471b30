"""TLS over a connection that ends before it should."""

import ssl

import pytest

from imageservice.wsgi.tls import Tls
from imageservice.wsgi.transport import Gone


class Left:
    """A client that has connected and gone, as the checks of load balancers do."""

    def recv(self, size, by=None):
        return b""

    def send(self, data, *, more=False):
        pass


def test_a_client_that_leaves_before_the_handshake_is_gone_and_no_failure():
    tls = Tls(Left(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    with pytest.raises(Gone):
        tls.handshake(1)
