"""The cluster's own certificate authority and what it signs; elliptic keys, because they are made in a millisecond."""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# The API server reads no PKCS #8 keys for service accounts.
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL
LIFETIME = datetime.timedelta(days=365)
# Clocks of a virtual machine that was just resumed may step back a little.
BACKDATED = datetime.timedelta(minutes=5)


@dataclass(frozen=True)
class KeyPair:
    """Where a certificate and its private key lie, both PEM."""

    certificate: Path
    key: Path


class CertificateAuthority:
    """Signs the certificates of one cluster and writes them into one directory."""

    def __init__(self, directory: Path, now: datetime.datetime) -> None:
        """Make the authority's own key and certificate.

        Args:
            directory: where everything is written; created if missing.
            now: UTC-aware; validity starts slightly before it.
        """
        self._directory = directory
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("modelscaler-localcluster-ca", "")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        builder = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, 0), critical=True)
        self.pair = self._write("ca", builder, self._key)

    def issue(self, file_name: str, common_name: str, organization: str = "", hosts: Sequence[str] = ()) -> KeyPair:
        """Sign a certificate good for serving ``hosts`` and for a client called ``common_name``.

        Args:
            file_name: stem of the two files.
            common_name: the user's name, to the API server.
            organization: the user's group, to the API server; empty for none.
            hosts: DNS names and IP addresses.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = self._builder(_name(common_name, organization), key)
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if hosts:
            alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(alternatives, critical=False)
        return self._write(file_name, builder, key)

    def signing_key(self, file_name: str) -> Path:
        """Write a bare private key, for signing service-account tokens."""
        path = self._directory / f"{file_name}.key"
        _write_key(path, ec.generate_private_key(ec.SECP256R1()))
        return path

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        subject_key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        authority_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - BACKDATED)
            .not_valid_after(self._now + LIFETIME)
            # Python's default verification (RFC 5280, strict) insists on both identifiers.
            .add_extension(subject_key_id, critical=False)
            .add_extension(authority_key_id, critical=False)
            .add_extension(_key_usage(signs=subject == self._name), critical=True)
        )

    def _write(self, name: str, builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> KeyPair:
        pair = KeyPair(self._directory / f"{name}.crt", self._directory / f"{name}.key")
        certificate = builder.sign(self._key, hashes.SHA256())
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_key(pair.key, key)
        return pair


def _key_usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str, organization: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, TRADITIONAL, serialization.NoEncryption())
    path.touch(mode=0o600)
    path.write_bytes(pem)
