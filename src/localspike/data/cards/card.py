"""What is known of a data set beside its loader: source, licence, files, checksums, counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["image", "camera", "sound", "touch"]
NO_CHECKSUM = "no published checksum"


@dataclass(frozen=True)
class Citation:
    """The publication to cite for a data set.

    >>> Citation("k2009", "techreport", ("A. Kay",), "Images", "Univ. of X", 2009).short
    'Kay 2009'
    """

    key: str
    kind: Literal["article", "inproceedings", "techreport", "misc"]
    authors: tuple[str, ...]
    title: str
    venue: str
    year: int
    doi: str = ""
    url: str = ""

    @property
    def short(self) -> str:
        """The first author's last name and the year."""
        return f"{self.authors[0].split()[-1]} {self.year}"

    @property
    def bibtex(self) -> str:
        """An entry for a .bib file.

        >>> cited = Citation("k2009", "article", ("A. Kay", "B. Lee"), "Images", "J. X", 2009)
        >>> print(cited.bibtex)
        @article{k2009,
          author = {A. Kay and B. Lee},
          title = {Images},
          journal = {J. X},
          year = {2009},
        }
        """
        where = {"article": "journal", "inproceedings": "booktitle", "techreport": "institution"}
        fields = {
            "author": " and ".join(self.authors),
            "title": self.title,
            where.get(self.kind, "howpublished"): self.venue,
            "year": str(self.year),
            "doi": self.doi,
            "url": self.url,
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


@dataclass(frozen=True)
class File:
    """One file of a source, and where it goes under the data root.

    ``path`` is where the file itself lies; with ``unpack`` it is an archive whose members go to
    that folder (under the data root), and ``gives`` is what is there afterwards. ``urls`` are
    tried in turn; none means that a form stands before the download. A checksum is the one its
    publisher or a long-standing mirror gives, never one of our own making.
    """

    path: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    sha256: str = ""
    md5: str = ""
    unpack: str | None = None
    gives: str = ""

    @property
    def name(self) -> str:
        """The file's own name.

        >>> File("mnist/labels.gz").name
        'labels.gz'
        """
        return self.path.rpartition("/")[2]

    @property
    def checksum(self) -> tuple[str, str] | None:
        """Algorithm and expected hex digest, the stronger one first; None if none is published.

        >>> File("x", md5="0f").checksum
        ('md5', '0f')
        """
        if self.sha256:
            return "sha256", self.sha256
        return ("md5", self.md5) if self.md5 else None

    @property
    def result(self) -> str:
        """The path that says, by being there, that nothing is left to be done."""
        return self.gives or self.path


@dataclass(frozen=True)
class Card:
    """All that is known of a data set without opening it.

    ``official`` counts the samples of each split the source itself has; ``parts`` those of forms
    of the files that hold only a part of it, by path under the data root. ``shape`` is that of one
    step of one sample and ``steps`` the T a loader gives by default, each of ``step_ms`` (0: the
    same image at every step); ``halves`` says that the channels are OFF first, then ON. ``manual``
    says how to come by the files where they cannot simply be fetched. ``listed`` are published MD5
    checksums of files inside the archives.
    """

    name: str
    title: str
    kind: Kind
    citation: Citation
    licence: str
    homepage: str
    official: Mapping[str, int]
    classes: int
    shape: tuple[int, ...]
    steps: int
    splits: str
    step_ms: int = 0
    halves: bool = False
    files: tuple[File, ...] = ()
    manual: str = ""
    parts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    listed: Mapping[str, str] = field(default_factory=dict)
