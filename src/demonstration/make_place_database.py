#!/usr/bin/env python3
"""Writes place.mmdb: the documentation ranges of RFC 5737 and RFC 3849 in four countries, for the demonstration and for tests.

    pip install mmdb-writer==0.2.7 && python3 make_place_database.py
"""

from pathlib import Path
from unittest import mock

from mmdb_writer import MMDBWriter
from netaddr import IPSet

PLACES = {
    "192.0.2.0/24": ("FR", "France", "EU", "Europe"),
    "198.51.100.0/24": ("DE", "Germany", "EU", "Europe"),
    "203.0.113.0/24": ("BR", "Brazil", "SA", "South America"),
    "2001:db8::/32": ("JP", "Japan", "AS", "Asia"),
}
BUILT = 1_760_000_000  # a fixed moment, so that the same script gives the same bytes
BYTES_MAX = 8 * 1024

writer = MMDBWriter(
    ip_version=6,
    ipv4_compatible=True,
    database_type="Firsthand-Demonstration-Country",
    languages=["en"],
    description="Documentation address ranges, for the demonstration of Firsthand",
)
for network, (country, country_name, continent, continent_name) in PLACES.items():
    place = {
        "continent": {"code": continent, "names": {"en": continent_name}},
        "country": {"iso_code": country, "names": {"en": country_name}},
    }
    writer.insert_network(IPSet([network]), place)

target = Path(__file__).with_name("place.mmdb")
with mock.patch("time.time", return_value=BUILT):
    writer.to_db_file(str(target))
size = target.stat().st_size
assert size <= BYTES_MAX, f"{size} bytes are more than {BYTES_MAX}"
print(f"{target.name}: {size} bytes")
