"""Settings of the feedback service."""

from pathlib import Path

from pydantic import Field, SecretStr

from services.feedback.drift import Vigilance
from services.feedback.strictness import StrictnessLearning
from services.feedback.trials import Allowance
from tiercel import config
from tiercel.errors import InvalidRequest
from tiercel.routing.pacing import Pacing
from tiercel.strictness.certification import Standard
from tiercel.strictness.following import Steering
from tiercel.types import Rule


class Settings(config.Settings):
    """Every knob of the feedback service."""

    address: str = Field(default="localhost:50070", description="host:port to listen on")
    redis_url: SecretStr = Field(
        default=SecretStr(""),
        description="URL of Redis: redis://, rediss://, unix://, redis+sentinel:// or"
        " redis+cluster://; empty for an embedded Valkey",
    )
    redis_url_file: Path | None = Field(
        default=None, description="file that holds the URL, such as a mounted secret"
    )
    data_dir: Path | None = Field(
        default=None, description="folder of the embedded Valkey; default in the user's data"
    )
    namespace: str = Field(
        default="tiercel", pattern=r"^[A-Za-z0-9_.-]+$", description="first part of all keys"
    )
    store_timeout_s: float = Field(
        default=0.8, gt=0, le=10, description="seconds until Redis counts as away"
    )
    half_life_s: float = Field(
        default=3600.0, gt=0, description="seconds after which an outcome weighs half"
    )
    dedup_s: float = Field(
        default=6 * 3600.0, gt=0, description="seconds for which a delivered event is remembered"
    )
    ratings_s: float = Field(
        default=7 * 24 * 3600.0, gt=0, description="seconds for which ratings are kept"
    )
    rating_half_life_s: float = Field(
        default=7 * 24 * 3600.0, gt=0, description="seconds after which a rating weighs half"
    )
    restart_run_length: float = Field(
        default=300.0,
        ge=0,
        le=1e12,
        description="ratings of a root, on average, until older ones are dropped for nothing, as"
        " its answers seem to have become better or worse; 0: they only fade",
    )
    max_ratings_per_rater: int = Field(
        default=600, ge=1, description="ratings of one rater that are learned from in an hour"
    )
    max_rater_weight: float = Field(
        default=10.0,
        gt=0,
        description="ratings of one rater that have full weight in an hour; all together they weigh"
        " at most twice as much",
    )
    keep_every_s: float = Field(
        default=600.0, gt=0, description="seconds between versions that are kept to roll back to"
    )
    principals_file: Path | None = Field(
        default=None,
        description="JSON file of names and the sha256 of their tokens; where it is given, calls"
        " that change what is learned need one of them",
    )
    max_cells: int = Field(
        default=4096, ge=1, description="pairs and tiers times kinds to keep sums of"
    )
    min_judged_tokens: int = Field(
        default=200, ge=1, description="draft tokens that must be judged before a pair is pushed"
    )
    prior_tokens: float = Field(
        default=50.0,
        ge=0,
        description="judged tokens that the rate over all kinds counts for in that of one",
    )
    max_harm: float = Field(
        default=0.05, gt=0, lt=1, description="share of answers that a lossy rule may harm"
    )
    harm_doubt: float = Field(
        default=0.05, gt=0, lt=1, description="chance that a certificate of it is wrong"
    )
    harm_run_length: float = Field(
        default=1e4,
        ge=0,
        le=1e12,
        description="running audits for each certificate that is withdrawn wrongly as harm seems to"
        " have risen, on average; 0: audits are only judged all together",
    )
    strictness_levels: tuple[float, ...] = Field(
        default=(0.95, 0.9, 0.8, 0.7, 0.6, 0.5),
        description="levels that audits try, from strict to lenient, at most 6",
    )
    audits_per_level: int = Field(
        default=0, ge=0, description="audits that decide a level; 0 for the fewest that can"
    )
    certify: tuple[Rule, ...] = Field(
        default=(), description="lossy rules to certify before they were used"
    )
    strictness_gain: float = Field(
        default=0.5, gt=0, description="strictness moves by this times the excess of divergence"
    )
    strictness_max_step: float = Field(
        default=0.05, gt=0, le=1, description="most by which strictness moves at once"
    )
    strictness_dead_band: float = Field(
        default=0.005, ge=0, description="excess of divergence within which nothing moves"
    )
    strictness_answers: int = Field(
        default=20, ge=1, description="answers whose divergence makes a step of strictness"
    )
    first_strictness: float | None = Field(
        default=None, ge=0, le=1, description="where strictness begins once it is certified"
    )
    target_mean_cost: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="cost that answers are to have on average, in seconds of work times"
        " price_per_second; without it there is no budget",
    )
    pacing_gain: float = Field(
        default=0.05, gt=0, description="the budget's pressure moves by this times its excess"
    )
    pacing_max_step: float = Field(
        default=0.05, gt=0, le=1, description="most by which that pressure moves at once"
    )
    pacing_answers: int = Field(
        default=20, ge=1, description="answers whose mean cost makes a step of the pressure"
    )
    trial_doubt: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="chance that a policy on trial is ever rolled back though it is no worse",
    )
    trial_failures: float = Field(
        default=0.02, ge=0, lt=1, description="share of requests by which more may fail on trial"
    )
    trial_late: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="share by which more may be later than 95 % of the incumbent's",
    )
    trial_cost: float = Field(
        default=0.2,
        ge=0,
        lt=4,
        description="part of the incumbent's cost by which it may be dearer",
    )
    trial_quality: float = Field(
        default=0.05, ge=0, lt=1, description="score by which its answers may be rated lower"
    )
    drift_run_length: float = Field(
        default=1e6,
        ge=0,
        le=1e12,
        description="watched values for each false alarm of drift, on average; 0: no alarm",
    )
    drift_tolerance: float = Field(
        default=0.5, gt=0, description="standard deviations by which a watched mean may move"
    )
    drift_warm_up: int = Field(
        default=200, ge=20, description="values that tell the mean from which drift is seen"
    )
    poll_s: float = Field(default=3.0, gt=0, description="seconds between looks for a change")
    push_interval_s: float = Field(
        default=1.0, gt=0, description="least seconds between two pushes to a router"
    )

    def strictness(self) -> StrictnessLearning:
        """Return how strictness is certified and led; raises InvalidRequest for unsound levels."""
        standard = Standard(
            epsilon=self.max_harm,
            delta=self.harm_doubt,
            levels=self.strictness_levels,
            audits_per_level=self.audits_per_level,
            run_length=self.harm_run_length,
        )
        steering = Steering(
            gain=self.strictness_gain,
            max_step=self.strictness_max_step,
            dead_band=self.strictness_dead_band,
            min_answers=self.strictness_answers,
            first=self.first_strictness,
        )
        return StrictnessLearning(standard, steering, self.certify)

    def pacing(self) -> Pacing | None:
        """Return how a budget is kept; None without one."""
        if self.target_mean_cost is None:
            return None
        return Pacing(
            target=self.target_mean_cost,
            gain=self.pacing_gain,
            max_step=self.pacing_max_step,
            min_answers=self.pacing_answers,
        )

    def allowance(self) -> Allowance:
        """Return by how much a policy on trial may be worse."""
        return Allowance(
            doubt=self.trial_doubt,
            failure=self.trial_failures,
            latency=self.trial_late,
            cost=self.trial_cost,
            quality=self.trial_quality,
        )

    def vigilance(self) -> Vigilance:
        """Return how sure an alarm of drift must be."""
        return Vigilance(self.drift_run_length, self.drift_tolerance, self.drift_warm_up)

    def store_url(self) -> str:
        """Return the URL of Redis, empty for the embedded one; raises InvalidRequest."""
        if self.redis_url_file is None:
            return self.redis_url.get_secret_value()
        url = config.read_secret("redis_url_file", self.redis_url_file)
        if not url:
            raise InvalidRequest("redis_url_file", str(self.redis_url_file), "is empty")
        return url
