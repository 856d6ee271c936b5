"""What was found, as text that prints itself."""

import shutil
import textwrap
from typing import NamedTuple


class Finding(NamedTuple):
    """One line of the report. `sign`: ✓ right, ✗ wrong, · a remark. `line`: where, as `file:line`."""

    piece: str
    sign: str
    message: str = ""
    line: str = ""


class Report:
    """The findings of a check; `ok` is whether nothing is wrong. In a notebook it shows itself."""

    def __init__(self, title: str, findings: list[Finding], missing: list[str]):
        self.title, self.findings, self.missing = title, findings, missing

    @property
    def ok(self) -> bool:
        """Whether no piece is wrong."""
        return not any(finding.sign == "✗" for finding in self.findings)

    def __repr__(self) -> str:
        width = max((len(finding.piece) for finding in self.findings), default=0) + 2
        columns = max(shutil.get_terminal_size((118, 24)).columns, width + 40)
        lines = [self.title]
        for piece, sign, message, line in self.findings:
            text = f"{message}  ({line})" if line and sign != "✓" else message
            head = f"{piece:<{width}}{sign}  "
            lines += textwrap.wrap(head + text, columns, subsequent_indent=" " * len(head), drop_whitespace=True) or [
                head
            ]
        if self.missing:
            lines.append(f"not found: {', '.join(self.missing)}")
        return "\n".join(line.rstrip() for line in lines)
