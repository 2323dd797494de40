"""The packages whose sources a model may learn from, by the language of which they hold most, and their origin.

pip, npm and Debian's apt-get download them as data (`fetching.py`). Nothing in them is installed or run. What a model
is judged on is never read here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from engine.errors import TrainingError

Source = Literal["pip", "npm", "debian"]


@dataclass(frozen=True, slots=True)
class Package:
    """A package at a fixed version; `version` is empty for Debian, whose release has one version of each."""

    name: str
    version: str
    source: Source
    language: str


_PIP = {
    "python": "django==5.2.19 flask==3.1.3 requests==2.34.2 numpy==2.4.6 scipy==1.17.1 pandas==3.1.1 "
    "matplotlib==3.11.2 scikit-learn==1.9.1 sympy==1.14.0 networkx==3.6.1 pytest==9.2.0 sqlalchemy==2.1.9 "
    "fastapi==0.165.0 pydantic==2.14.3 httpx==0.28.1 aiohttp==3.14.5 tornado==6.6.1 rich==15.0.0 click==8.5.1 "
    "jinja2==3.1.6 werkzeug==3.1.9 torch==2.13.0 transformers==5.23.0",
    "html": "wagtail==8.0.1 djangorestframework==3.18.3 mkdocs==1.6.1 mkdocs-material==9.8.1 "
    "django-allauth==65.21.1 flask-admin==2.2.1 django-oscar==4.2.1",
}
_NPM = {
    "typescript": "rxjs@7.8.2 zod@4.6.7 mobx@7.1.3 immer@11.2.10 redux@5.0.1 @reduxjs/toolkit@2.14.0 reselect@5.3.0 "
    "ajv@8.20.0 effect@4.1.0 @tanstack/query-core@5.108.0 @tanstack/table-core@9.3.1 @tanstack/router-core@1.171.39 "
    "@trpc/server@11.25.2 @trpc/client@11.25.2 viem@2.57.20 @noble/hashes@2.4.0 io-ts@2.2.22 superjson@2.2.6 msw@3.0.5",
    "javascript": "axios@1.21.1 express@5.3.0 koa@3.2.1 fastify@5.12.8 preact@11.2.0 svelte@5.57.3 three@0.187.0 "
    "d3-array@3.2.5 d3-scale@4.0.3 d3-shape@3.2.1 lodash-es@4.18.1 underscore@1.13.8 commander@15.1.0 mocha@12.0.3 "
    "eslint@10.15.0 webpack@5.112.2 ws@8.23.0 undici@8.12.4 luxon@3.7.2 backbone@1.6.1 ramda@0.32.0 stylelint@18.0.0 "
    "knex@3.3.0 sequelize@6.37.8 mongoose@9.12.1",
    "css": "bootstrap@5.3.8 bulma@1.0.4 normalize.css@8.0.1 html5-boilerplate@9.0.1 foundation-sites@6.9.0 "
    "@picocss/pico@2.1.1 milligram@1.4.1 spectre.css@0.5.9 govuk-frontend@6.6.0 @uswds/uswds@3.14.0",
}
_DEBIAN = {
    "c": "zlib lua5.4 redis jansson libevent libuv1 cjson nginx tmux jq libyaml expat lighttpd",
    "c++": "fmtlib spdlog googletest leveldb abseil re2 yaml-cpp catch2 cli11 tinyxml2 pugixml",
    "go": "golang-1.19 golang-github-spf13-viper golang-github-gorilla-mux golang-testify golang-logrus "
    "golang-go.uber-zap golang-github-gin-gonic-gin golang-github-urfave-cli-v2 caddy gh fzf",
    "rust": "rust-serde rust-tokio rust-clap rust-regex rust-rand rust-hyper rust-itertools rust-syn rust-rayon "
    "rust-ripgrep rust-fd-find rust-hyperfine rust-bat rust-chrono rust-nom rust-petgraph rust-reqwest",
    "shell": "bats shunit2 zsh-syntax-highlighting zsh-autosuggestions git-extras neofetch dehydrated",
}


def _listed() -> Iterable[Package]:
    tables: tuple[tuple[Source, Mapping[str, str], str], ...] = (
        ("pip", _PIP, "=="),
        ("npm", _NPM, "@"),
        ("debian", _DEBIAN, "="),
    )
    for source, table, mark in tables:
        for language, names in table.items():
            for entry in names.split():
                # A scope of npm begins with the mark too.
                name, version = entry.rsplit(mark, 1) if mark in entry[1:] else (entry, "")
                yield Package(name, version, source, language)


PACKAGES: Mapping[str, Package] = MappingProxyType({package.name: package for package in _listed()})
# Packages and repositories on which models are judged, or on which settings are chosen (docs/measurements).
EVALUATION_PACKAGES = frozenset(
    {"bottle", "peewee", "trio", "arrow", "cattrs", "marshmallow", "structlog", "attrs", "httpcore", "starlette"}
    | {"better-auth", "crush", "snacks", "snacks-nvim", "tidesdb", "human-eval", "humaneval"}
)


def choose(names: Iterable[str]) -> tuple[Package, ...]:
    """Packages of PACKAGES in their fixed order. Errors: TrainingError for a name that is not among them."""
    known = {normalised_name(name): name for name in PACKAGES}
    wanted = {normalised_name(name) for name in names}
    for name in sorted(wanted - known.keys()):
        why = "kept for evaluation" if name in EVALUATION_PACKAGES else "not among the packages of the corpus"
        raise TrainingError(f"{name} is {why}: choose from {', '.join(PACKAGES)}")
    return tuple(package for name, package in PACKAGES.items() if normalised_name(name) in wanted)


def normalised_name(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
