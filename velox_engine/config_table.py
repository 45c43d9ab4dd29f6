"""What can be set: one table of keys with type, range, unit, default and meaning.

The fields of the section classes below are that table. From it come the checks, ``config.toml``, the help texts,
``--set`` and the environment's names.
"""

# ruff: noqa: RUF009  # `_key` declares a field and nothing else

from __future__ import annotations

from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeVar, get_args

from velox_engine.config_rules import (
    INT64_MAX,
    Bindings,
    Flag,
    Number,
    PowerOfTwo,
    RefusedError,
    Rule,
    Text,
    Value,
    Whole,
    Words,
    shown,
)
from velox_engine.errors import ConfigError

T = TypeVar("T")

ENVIRONMENT_PREFIX: Final = "VELOX_"
_YEARS: Final = 1_000_000_000  # seconds, some 31 years: far from where 64 bits of nanoseconds end
_RING: Final = PowerOfTwo(64, 1 << 20, "slots")
_CORE: Final = Whole(0, 1023, words=("auto",))

Rate = float | Literal["max"]
Speed = float | Literal["max"]
Core = int | Literal["auto"]
Limit = float | Literal["off"]
OnFull = Literal["wait", "drop"]
Stamp = Literal["batch", "each"]
Model = Literal["market", "uniform"]
BookKind = Literal["exact", "bucketed"]
Idle = Literal["backoff", "spin"]
GlyphChoice = Literal["auto", "braille", "block", "ascii"]
Layout = Literal["overview", "pipeline", "book", "latency"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "text"]
LogToError = Literal["auto", "records", "messages"]

DEFAULT_BOOK: Final[BookKind] = "exact"


def _key(default: T, rule: Rule, doc: str) -> T:
    """Declare a setting; the dataclass sees a field with a default."""
    declared: Any = field(default=default, metadata={"rule": rule, "doc": doc})
    return declared


@dataclass(frozen=True, slots=True)
class Section:
    """The settings of one section, checked and in the type that they have, however they were made.

    Raises `ConfigError` for a value that its key does not allow.
    """

    section: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = checked(f"{self.section}.{each.name}", getattr(self, each.name))
            object.__setattr__(self, each.name, value)


@dataclass(frozen=True, slots=True)
class PipelineSettings(Section):
    """How fast transactions come in, and when the run ends."""

    section = "pipeline"
    name: str = _key(
        "velox",
        Text("[A-Za-z][A-Za-z0-9._-]{0,63}", "a letter and up to 63 letters, digits, '.', '_' or '-'"),
        "what this engine is called on this machine",
    )
    run_duration_secs: float = _key(0, Number(0, _YEARS, "s"), "the run ends after so long; 0: no such end")
    count: int = _key(0, Whole(0, INT64_MAX), "the run ends after so many transactions generated; 0: no such end")
    ingress_rate_hz: Rate = _key(
        100_000, Number(1e-6, 1e9, "per second", ("max",)), "transactions that come in, on average"
    )
    on_full: OnFull = _key("wait", Words(get_args(OnFull)), "a full first ring: lose nothing, or count and drop")
    batch: int = _key(256, Whole(1, 4096, "transactions"), "most that a step takes or publishes at once")
    stamp: Stamp = _key("batch", Words(get_args(Stamp)), "at maximum rate: read the clock once a batch, or for each")
    drain_timeout_secs: float = _key(5, Number(0.001, 3600, "s"), "a drain that takes longer is given up")
    sink: str = _key(
        "none", Text("(?s).+", '"none" or a path'), "a journal of what goes out, a file that is not there yet"
    )


@dataclass(frozen=True, slots=True)
class SourceSettings(Section):
    """Where transactions come from."""

    section = "source"
    kind: str = _key("synthetic", Text("(?s).+", '"synthetic" or a path'), "made up here, or read from a recorded file")
    model: Model = _key(
        "market",
        Words(get_args(Model)),
        "synthetic: orders around a moving price; or adds only, at every price alike, for a bucketed book",
    )
    live_orders: int = _key(10_000, Whole(10, 1_000_000), "market: about so many orders are kept alive")
    seed: int = _key(0, Whole(0, INT64_MAX), "synthetic: the same makes the same flow; 0: one is picked and reported")
    symbols: str = _key("all", Text("(?s).+", '"all" or symbols with commas between'), "recorded: only these")
    seed_book: str = _key(
        "auto", Text("(?s).+", '"auto", "none" or a path'), "recorded: a file with the book before the first message"
    )
    speed: Speed = _key(1, Number(1e-6, 1e6, "times", ("max",)), "replay: this much faster than recorded")
    max_gap_secs: float = _key(5, Number(0.001, _YEARS, "s"), "replay: longer quiet is shortened to this")
    loop: bool = _key(False, Flag(), "replay: begin again at the end, with CLEAR and the seed")


@dataclass(frozen=True, slots=True)
class BufferSettings(Section):
    """The rings between the stages, in slots; powers of two."""

    section = "buffers"
    ingress_ring_size: int = _key(4096, _RING, "ingress to order book, a transaction each")
    bundle_ring_size: int = _key(4096, _RING, "order book to bundle, a transaction each")
    output_ring_size: int = _key(1024, _RING, "bundle to output, a bundle each")


@dataclass(frozen=True, slots=True)
class BundleSettings(Section):
    """When transactions go out together."""

    section = "bundle"
    max_size: int = _key(16, Whole(1, 256, "transactions"), "a bundle with so many goes out")
    timeout_ns: int = _key(100_000, Whole(1, 10_000_000_000, "ns"), "so does one whose first transaction waits so long")


@dataclass(frozen=True, slots=True)
class BookSettings(Section):
    """Which order book is kept."""

    section = "book"
    kind: BookKind = _key(
        DEFAULT_BOOK, Words(get_args(BookKind)), "every order in price-time priority, or volumes, 16 prices to a bucket"
    )
    depth: int = _key(20, Whole(1, 200, "levels"), "how many are shown on each side")


@dataclass(frozen=True, slots=True)
class ThreadSettings(Section):
    """Which core runs which stage; stages on one core share one worker."""

    section = "threads"
    ingress_core: Core = _key("auto", _CORE, "a core's number")
    orderbook_core: Core = _key("auto", _CORE, "a core's number")
    bundle_core: Core = _key("auto", _CORE, "a core's number")
    output_core: Core = _key("auto", _CORE, "a core's number")
    idle: Idle = _key("backoff", Words(get_args(Idle)), "a worker without work sleeps, or never does")


@dataclass(frozen=True, slots=True)
class LimitSettings(Section):
    """What the run must keep to; one that did not ends with exit code 4."""

    section = "limits"
    max_drop_rate: Limit = _key("off", Number(0, 1, words=("off",)), "largest share of the generated that is dropped")
    min_throughput: Limit = _key("off", Number(0, 1e12, "per second", ("off",)), "least transactions that go out")
    max_p99_us: Limit = _key("off", Number(0.001, 1e9, "us", ("off",)), "largest 99th percentile, end to end")


@dataclass(frozen=True, slots=True)
class UiSettings(Section):
    """The screen."""

    section = "ui"
    theme: str = _key(
        "velox-dark", Text("[a-z][a-z0-9-]*", "a theme's name"), "velox-dark, velox-light, velox-16, or Textual's own"
    )
    fps: float = _key(10, Number(1, 30, "per second"), "how often it is drawn, at most")
    window_secs: int = _key(60, Whole(10, 900, "s"), "how far back the graphs go; the nearest step is taken")
    layout: Layout = _key("overview", Words(get_args(Layout)), "what is shown first")
    glyphs: GlyphChoice = _key("auto", Words(get_args(GlyphChoice)), "what graphs are drawn with; auto: by the locale")
    mouse: bool = _key(True, Flag(), "whether the mouse is used; false leaves it to the terminal")
    keys: str = _key("", Bindings(), "other keys for actions, by the names that the help screen shows; also [ui.keys]")


@dataclass(frozen=True, slots=True)
class MetricsSettings(Section):
    """What other programs are given: metrics and health over HTTP, a log of latencies."""

    section = "metrics"
    enabled: bool = _key(False, Flag(), "whether metrics and health are served over HTTP")
    host: str = _key("127.0.0.1", Text(r"\S{1,255}", "an address or a name of this machine"), "where they are served")
    port: int = _key(9464, Whole(0, 65535), "their port; 0: any that is free")
    symbols: int = _key(32, Whole(0, 1000), "books have metrics by symbol up to so many; beyond that totals only")
    hlog: str = _key("none", Text("(?s).+", '"none" or a path'), "interval histograms of latency, as HdrHistogram logs")
    hlog_interval_secs: float = _key(1, Number(0.1, 86_400, "s"), "how long an interval of them is")


@dataclass(frozen=True, slots=True)
class LogSettings(Section):
    """What happened, for later: states, warnings and errors with their values, a line each."""

    section = "log"
    file: str = _key(
        "auto",
        Text("(?s).+", '"auto", "none" or a path'),
        "where it is written; auto: under the engine's name in your state directory",
    )
    level: LogLevel = _key(
        "info", Words(get_args(LogLevel)), "the least that is written; debug: figures of each second"
    )
    format: LogFormat = _key("auto", Words(get_args(LogFormat)), "auto: JSON in the file, text on standard error")
    stderr: LogToError = _key(
        "auto",
        Words(get_args(LogToError)),
        "without a screen: every record, or warnings in a word; auto: records where the system's journal reads it, or "
        "level or format is set",
    )
    max_bytes: int = _key(4_000_000, Whole(0, 1_000_000_000_000), "the file is rotated before it gets larger; 0: never")
    kept: int = _key(4, Whole(1, 100, "files"), "how many old ones are kept")


@dataclass(frozen=True, slots=True)
class ChaosSettings(Section):
    """Faults made on purpose, to see that nothing is lost. Only --chaos turns them on."""

    section = "chaos"
    enabled: bool = _key(False, Flag(), "whether it is on; true is refused here: --chaos turns it on for a run")
    seed: int = _key(0, Whole(0, INT64_MAX), "draws the faults and their moments; 0: one is picked and reported")
    longest_ms: float = _key(50, Number(0.001, 60_000, "ms"), "the longest of stalls, crowds and squeezes")
    stalls_hz: float = _key(5, Number(0, 1000, "per second"), "a stage is put aside")
    naps_hz: float = _key(100, Number(0, 1000, "per second"), "one is, for up to 0.5 ms, where it hurts")
    moves_hz: float = _key(5, Number(0, 1000, "per second"), "a worker is bound to another core")
    crowds_hz: float = _key(2, Number(0, 1000, "per second"), "a thread spins on a worker's core")
    squeezes_hz: float = _key(1, Number(0, 1000, "per second"), "all workers are bound to one core")
    clock_steps_hz: float = _key(0.5, Number(0, 1000, "per second"), "the clock seems to have stepped")
    memory_hz: float = _key(0.5, Number(0, 1000, "per second"), "memory is taken and given back")
    memory_mb: int = _key(128, Whole(0, 65_536, "MB"), "so much of it")
    sink_errors: float = _key(0.01, Number(0, 1), "share of the sink's writes that fail")
    sink_delays: float = _key(0.05, Number(0, 1), "share of them that are slow, by up to longest_ms")


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a run, each valid by itself and with the others. ``Config()`` holds the defaults."""

    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    source: SourceSettings = field(default_factory=SourceSettings)
    buffers: BufferSettings = field(default_factory=BufferSettings)
    bundle: BundleSettings = field(default_factory=BundleSettings)
    book: BookSettings = field(default_factory=BookSettings)
    threads: ThreadSettings = field(default_factory=ThreadSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    ui: UiSettings = field(default_factory=UiSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    log: LogSettings = field(default_factory=LogSettings)
    chaos: ChaosSettings = field(default_factory=ChaosSettings)
    given: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """The keys (``section.key``) that somebody set; the others hold their defaults."""

    def __post_init__(self) -> None:
        if self.source.kind == "synthetic" and self.source.model == "uniform" and self.book.kind == "exact":
            raise ConfigError(
                'got "uniform" with an exact book, which nothing would ever leave',
                key="source.model",
                value="uniform",
                allowed='"market", or book.kind = "bucketed"',
            )

    def as_dict(self) -> dict[str, dict[str, Value]]:
        """Give the settings by section and key, ready for JSON."""
        return {name: asdict(getattr(self, name)) for name in SECTIONS}


class Key(NamedTuple):
    """One row of the table of settings."""

    section: str
    name: str
    default: Value
    rule: Rule
    doc: str

    @property
    def full(self) -> str:
        """``section.key``, as errors and ``--set`` name it."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"{ENVIRONMENT_PREFIX}{self.section}__{self.name}".upper()


def _table() -> dict[str, Key]:
    rows: dict[str, Key] = {}
    for part in SECTIONS.values():
        each: Field[Any]
        for each in fields(part):
            rule: Rule = each.metadata["rule"]
            row = Key(part.section, each.name, rule.check(each.default), rule, each.metadata["doc"])
            rows[row.full] = row
    return rows


SECTIONS: Final[dict[str, type[Section]]] = {
    part.section: part
    for part in (
        PipelineSettings,
        SourceSettings,
        BufferSettings,
        BundleSettings,
        BookSettings,
        ThreadSettings,
        LimitSettings,
        UiSettings,
        MetricsSettings,
        LogSettings,
        ChaosSettings,
    )
}
KEYS: Final[dict[str, Key]] = _table()


def checked(key: str, value: object, *, source: str | Path | None = None, line: int | None = None) -> Value:
    """Return a value in the type of its key (``section.key``), or raise `ConfigError` with all that is known."""
    rule = KEYS[key].rule
    try:
        return rule.check(value)
    except RefusedError as refused:
        problem = f"got {shown(value)}" + (f", {refused}" if str(refused) else "")
        raise ConfigError(problem, source=source, line=line, key=key, value=value, allowed=rule.allowed) from None
