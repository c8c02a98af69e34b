"""Prints what a wheel requires, without extras; of versions with a local suffix (2.13.0+cpu), which no public index has, the part before it.
wheel_requirements.py WHEEL"""
import email
import re
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    metadata = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    requires = email.message_from_bytes(wheel.read(metadata)).get_all("Requires-Dist") or []
for line in requires:
    if "extra ==" not in line and not re.match(r"torchcodec\b", line):
        print(re.sub(r"(==[0-9.]+)\+[a-z0-9.]+", r"\1", line))
