# Copyright: (c) 2026, MoodleClaude contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Markdown files as the tests of the documentation see them: headings, links, blocks of code, tables, commands."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True)
class Block:
    """A fenced block of code: its language, its text, and the line of the page that it begins in."""

    language: str
    text: str
    line: int


class Page:
    """A Markdown file."""

    def __init__(self, path: Path):
        self.path = path
        self.text = path.read_text(encoding="utf-8")

    @cached_property
    def tokens(self) -> list[Token]:
        return MarkdownIt("commonmark").enable("table").parse(self.text)

    @cached_property
    def anchors(self) -> set[str]:
        """The anchors that forges and Sphinx give to the headings."""
        found: set[str] = set()
        for number, token in enumerate(self.tokens):
            if token.type == "heading_open":
                words = "".join(child.content for child in self.tokens[number + 1].children)
                anchor = wanted = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
                count = 0
                while anchor in found:
                    count += 1
                    anchor = f"{wanted}-{count}"
                found.add(anchor)
        return found

    @cached_property
    def links(self) -> list[tuple[int, str]]:
        """Line and target of every link and image."""
        return [(line, str(child.attrGet("href") or child.attrGet("src"))) for line, child in self._inline()
                if child.type in ("link_open", "image")]

    @cached_property
    def blocks(self) -> list[Block]:
        return [Block(token.info.strip(), token.content, token.map[0] + 1)
                for token in self.tokens if token.type == "fence"]

    @cached_property
    def code(self) -> list[tuple[int, str]]:
        """Line and text of every piece of code within a sentence or a table."""
        return [(line, child.content) for line, child in self._inline() if child.type == "code_inline"]

    @cached_property
    def tables(self) -> list[list[list[str]]]:
        """Tables of rows of cells, as they are written; the first row is the head."""
        found: list[list[list[str]]] = []
        for number, token in enumerate(self.tokens):
            if token.type == "table_open":
                found.append([])
            elif token.type == "tr_open":
                found[-1].append([])
            elif token.type in ("th_open", "td_open"):
                found[-1][-1].append(self.tokens[number + 1].content)
        return found

    def _inline(self):
        for token in self.tokens:
            if token.type == "inline":
                line = token.map[0] + 1 if token.map else 0
                for child in token.children:
                    yield line, child


def commands(script: str) -> list[list[str]]:
    """The commands (lists of words) of a simple shell script; the control words of the shell are commands, too.

    :raises: ValueError if a quote is not closed.
    """
    script = re.sub(r"\\\n\s*", " ", script)
    script = re.sub(r"(?m)(^|\s)#\s.*$", r"\1", script)
    lexer = shlex.shlex(script, posix=True, punctuation_chars=";|&()\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set(";|&()\n"):
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words]
