"""What wrong credentials cost, as an administrator may set it."""

from __future__ import annotations

from dataclasses import dataclass

from useridentity.errors import ConfigurationError
from useridentity.settings import Network, Seconds
from useridentity.settings.shape import demand_none, misfits


@dataclass(frozen=True, slots=True)
class PenaltyLimits:
    """What wrong credentials cost (`[limits.penalty]`). Times in seconds.

    Fields:
        source_free: wrong credentials from one source that cost nothing; many people mistype behind one
            address.
        source_forgive: until one of them is forgiven, and so the time that each guess takes in the long
            run: 288 a day, over all accounts.
        account_free: wrong credentials for one account that cost nothing; a person mistypes a few times.
        account_forgive: the same for an account, from all sources that were never good for it together:
            96 guesses a day, too few for any passcode that is not among the commonest.
        shortest: the first delay; a person hardly notices it.
        longest: the delay that doubling ends at; a user who is mistaken for a guesser waits no longer.
        good_for: how long a source that an account was used from is told from strangers.
        exempt: networks where nothing is counted and nothing refused: monitoring, vulnerability scanners,
            a proxy whose clients cannot be told apart and that limits them itself.

    Raises `ConfigurationError` where a value could not be, or the first delay is longer than the longest.
    """

    source_free: int = 20
    source_forgive: Seconds = 300.0
    account_free: int = 5
    account_forgive: Seconds = 900.0
    shortest: Seconds = 2.0
    longest: Seconds = 900.0
    good_for: Seconds = 30 * 86400.0
    exempt: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        demand_none(misfits((), self))
        if self.shortest > self.longest:
            raise ConfigurationError(
                f"shortest is {self.shortest:g} s and longest {self.longest:g} s; delays double from one to the other"
            )
