"""A real SMTP server for tests/suite/mailed_alerts.rs: aiosmtpd, over TLS from the first byte, for who logs in; each mail is a file of a Maildir.

server.py PORT MAILDIR USER PASSWORD CERTIFICATE KEY
"""

import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult

port, maildir, user, password, certificate, key = sys.argv[1:]


def authenticate(server, session, envelope, mechanism, said):
    return AuthResult(success=(said.login, said.password) == (user.encode(), password.encode()))


tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
controller = Controller(
    Mailbox(maildir),
    hostname="127.0.0.1",
    port=int(port),
    ssl_context=tls,
    authenticator=authenticate,
    auth_required=True,
    # It means the word STARTTLS, which is not needed where everything is TLS.
    auth_require_tls=False,
)
controller.start()
print("listening", flush=True)
# Until whoever started it is gone.
sys.stdin.read()
controller.stop()
