#!/usr/bin/env python3
"""Writes networks.mmdb: parts of the documentation ranges of RFC 5737 and RFC 3849 as networks with owners, for tests.

    pip install mmdb-writer==0.2.7 && python3 make_networks.py
"""

from pathlib import Path
from unittest import mock

from mmdb_writer import MMDBWriter
from netaddr import IPSet

NETWORKS = {
    "192.0.2.0/25": (64496, "Example Broadband"),
    "192.0.2.192/26": (64500, "Example Hosting Ltd"),
    "198.51.100.0/25": (64497, "Example Mobile"),
    "198.51.100.192/26": (24940, "Example without a telling name"),
    "203.0.113.192/26": (13335, "Example Cloud, where people come out of a relay"),
    "2001:db8:dc::/48": (64501, "Example Data Centre"),
}
BUILT = 1_760_000_000  # a fixed moment, so that the same script gives the same bytes

writer = MMDBWriter(
    ip_version=6,
    ipv4_compatible=True,
    database_type="Firsthand-Test-ASN",
    int_type="u32",
    languages=["en"],
    description="Documentation address ranges, for the tests of Firsthand",
)
for network, (number, owner) in NETWORKS.items():
    writer.insert_network(
        IPSet([network]),
        {"autonomous_system_number": number, "autonomous_system_organization": owner},
    )

target = Path(__file__).with_name("networks.mmdb")
with mock.patch("time.time", return_value=BUILT):
    writer.to_db_file(str(target))
print(f"{target.name}: {target.stat().st_size} bytes")
