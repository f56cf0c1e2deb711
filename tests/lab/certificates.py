# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for an engine that is reached with TLS: an authority, the engine's, a client's, and a stranger's."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates. :param name: str, its own."""

    def __init__(self, name: str):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        builder = _builder(self.name, self.name, self.key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                              key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                              decipher_only=False)
        self.certificate = builder.add_extension(usage, critical=True).add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False).sign(self.key, hashes.SHA256())

    def issue(self, name: str, use, names: list[str] = ()) -> tuple[bytes, bytes]:
        """Return (certificate, key), both PEM. :param names: host names and addresses that it is good for."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), self.name, key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(one) for one in names]), critical=False)
        return _pem(builder.sign(self.key, hashes.SHA256())), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def write(folder: Path, names: list[str]) -> None:
    """Write server/, client/ and stranger/ into a folder, each with ca.pem, cert.pem and key.pem.

    :param names: names and addresses of the server. The stranger's certificate is from an authority of its own.
    """
    authority, other = Authority("authority"), Authority("another authority")
    issued = {
        "server": (authority, authority.issue("engine", ExtendedKeyUsageOID.SERVER_AUTH, names)),
        "client": (authority, authority.issue("client", ExtendedKeyUsageOID.CLIENT_AUTH)),
        "stranger": (other, other.issue("stranger", ExtendedKeyUsageOID.CLIENT_AUTH)),
    }
    for who, (signer, (certificate, key)) in issued.items():
        place = folder / who
        place.mkdir(parents=True, exist_ok=True)
        (place / "ca.pem").write_bytes(_pem(signer.certificate))
        (place / "cert.pem").write_bytes(certificate)
        (place / "key.pem").write_bytes(key)
        (place / "key.pem").chmod(0o600)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
            .serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + 2 * _DAY))


def _alternative(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
