/* Rights and grants: branches spend only rights that they have, and ask each other for more.
 *
 * Modelled: three branches with 1 right each to one account, logs on disk, and all else in memory; two
 * requests to take out 2, at branches 0 and 1, that come at any moment; a deposit of 1 at branch 2, likewise;
 * rounds that ask one branch or all; deferral by age, where any request may be the older one, as clocks may
 * say anything; entries that arrive late; questions and answers that are late, overtaken, lost by crashes, or,
 * up to DOUBLES times, doubled; CRASHES crashes, at every point around a commit; with GIVE_UPS, rounds that
 * are taken for stalled, and requests whose time is over.
 * Left out: reservations, transfers, several requests at one branch, unasked grants (they are grants to
 * someone who does not wait), lost disks (incarnations.pml), pauses between rounds (they only take time).
 *
 * step          | in the code (src/bankbook/core)
 * --------------|---------------------------------------------------------------------
 * deposit       | state.py Layer.apply_record, logs.py Logs.write
 * attempt       | requests.py Requests._carry_out, ledger.py Teller.decide
 * begin_round   | gathering.py Gatherings._begin_round, gathering.py Gatherings._ask_all
 * grant         | gathering.py Gatherings.grant, gathering.py Gatherings._comes_first
 * answer_ask    | gathering.py Gatherings.answer_ask, gathering.py Gatherings._answer_deferred
 * take_answer   | gathering.py Gatherings._on_answer
 * end_round     | gathering.py Gatherings._end_round_if_over, gathering.py Gatherings._retry
 * stall         | gathering.py Gatherings.look_for_stalls, gathering.py Gatherings._is_stalled
 * give_up       | requests.py Requests.expire, gathering.py Gatherings.why_overdue
 * apply_next    | logs.py Logs.advance, gathering.py Gatherings.on_applied
 * commit_step   | replica.py Replica.step, server/driver.py Driver._commit
 * release       | server/driver.py Driver._release
 * crash         | replica.py Replica.__init__
 */
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef CRASHER
#define CRASHER 0
#endif
#ifndef DOUBLES
#define DOUBLES 0
#endif
#ifndef GIVE_UPS
#define GIVE_UPS 0
#endif
#ifndef DEPOSITS
#define DEPOSITS 1
#endif
#ifndef WITNESS
#define WITNESS 0      /* whether branch 2 applies anything; what it gives depends on its own log alone */
#endif
#define TAKES_NOTE(b) (WITNESS || (b) != 2)
#define LOG_MAX 6
#define WANTED  2
#define A(b, o) ((b) * 3 + (o))
#define E(o, s) ((o) * LOG_MAX + (s) - 1)     /* the place of entry s, from 1, of branch o's log */

mtype = { NOT_YET, WAITS, GATHERS, PAID, REFUSED, GIVEN_UP, NOT_ASKED, UNDER_WAY, DEFERRED, LATE }
#define NOT_ANY   3
#define GONE_AWAY 4    /* the answer is for one who no longer waits for it */

byte amount[3 * LOG_MAX];       /* of each entry */
byte kind[3 * LOG_MAX];         /* DEPOSIT, TAKE, or GRANT + the branch that is given the rights */
#define DEPOSIT 0
#define TAKE    1
#define GRANT   2
byte needs[9 * LOG_MAX];        /* what each depends on: the last entry of each log */
byte applied[9];       /* what each branch has applied; all on its disk but its own last entries */
byte pending[3];       /* how many of these the present step has written, not committed yet */
mtype told[3] = NOT_YET;  /* what the client is told once the step is committed */
byte answer_to[3] = NOT_ANY; /* whom else the step answers then */

mtype request[2] = NOT_YET;
byte age[2];           /* since when rights are lacking, as the branch's clock says */
byte funds_before[2];  /* what had been paid in and acknowledged when the request came */
bit heard[2], asks_all[2];
byte unanswered[2];    /* bits: who has not answered this round's question */
byte awaited[6];       /* what must be applied before the round is over */
byte had[2];           /* the rights that were here when it began */
mtype asked[6] = NOT_ASKED;  /* A(b, o): b's question to o */
byte acknowledged = 3, taken;  /* what was paid in, and taken out, as the world has been told */
bit deposited;
byte crashes = CRASHES, doubles = DOUBLES, give_ups = GIVE_UPS;
byte i_; short sum_, j_;  /* scratch */

/* Count the rights of branch x, or, for x = 3, all funds, as branch b sees them. */
inline count_rights(b, x) {
    d_step {
        sum_ = (x == 3 -> 3 : 1);
        i_ = 0;
        do
        :: i_ < 3 * LOG_MAX && i_ % LOG_MAX < applied[A(b, i_ / LOG_MAX)] ->
            if
            :: kind[i_] == DEPOSIT && (x == 3 || i_ / LOG_MAX == x) -> sum_ = sum_ + amount[i_]
            :: kind[i_] == TAKE && (x == 3 || i_ / LOG_MAX == x) -> sum_ = sum_ - amount[i_]
            :: kind[i_] >= GRANT && x != 3 ->
                sum_ = sum_ - (i_ / LOG_MAX == x -> amount[i_] : 0) + (kind[i_] - GRANT == x -> amount[i_] : 0)
            :: else
            fi;
            i_++
        :: i_ < 3 * LOG_MAX && i_ % LOG_MAX >= applied[A(b, i_ / LOG_MAX)] -> i_++
        :: else -> break
        od;
        i_ = 0
    }
}

/* In every state of every branch: no rights below 0, and all rights together are the balance less the floor. */
inline check_rights(b) {
    d_step {
        count_rights(b, 0); j_ = sum_;
        assert(sum_ >= 0);                              /* no rights below 0 */
        count_rights(b, 1); j_ = j_ + sum_;
        assert(sum_ >= 0);                              /* no rights below 0 */
        count_rights(b, 2); j_ = j_ + sum_;
        assert(sum_ >= 0);                              /* no rights below 0 */
        count_rights(b, 3);
        assert(sum_ == j_);                             /* all rights together are the balance */
        sum_ = 0; j_ = 0
    }
}

inline write_entry(b, what, much) {
    d_step {
        assert(applied[A(b, b)] < LOG_MAX);            /* rights are not passed to and fro without end */
        applied[A(b, b)]++;
        i_ = E(b, applied[A(b, b)]);
        kind[i_] = what; amount[i_] = much;
        needs[i_ * 3] = applied[A(b, 0)]; needs[i_ * 3 + 1] = applied[A(b, 1)]; needs[i_ * 3 + 2] = applied[A(b, 2)];
        needs[i_ * 3 + b]--;
        pending[b]++;
        i_ = 0
    }
    check_rights(b)
}

inline deposit() { deposited = 1; told[2] = PAID; write_entry(2, DEPOSIT, 1) }

#define OTHER(b)        (1 - (b))
#define IS_GATHERING(b) ((b) < 2 && request[(b) % 2] == GATHERS)

/* What the request asked is void from now on: a late answer is dropped, a late question still brings rights. */
inline end_questions(b) {
    unanswered[b] = 0;
    asked[A(b, OTHER(b))] = (asked[A(b, OTHER(b))] == UNDER_WAY || asked[A(b, OTHER(b))] == LATE -> LATE : NOT_ASKED);
    asked[A(b, 2)] = (asked[A(b, 2)] == UNDER_WAY || asked[A(b, 2)] == LATE -> LATE : NOT_ASKED);
    if :: answer_to[OTHER(b)] == b -> answer_to[OTHER(b)] = GONE_AWAY :: else fi;
    if :: answer_to[2] == b -> answer_to[2] = GONE_AWAY :: else fi
}

inline end_gathering(b) {
    d_step {
        end_questions(b);
        heard[b] = 0; asks_all[b] = 0; had[b] = 0; age[b] = 0;
        awaited[A(b, 0)] = 0; awaited[A(b, 1)] = 0; awaited[A(b, 2)] = 0
    }
}

inline begin_round(b, is_want_of_funds) {
    d_step {
        asks_all[b] = is_want_of_funds;                 /* before anything else is counted */
        end_questions(b);
        count_rights(b, OTHER(b)); j_ = sum_;
        count_rights(b, b); had[b] = sum_;
        count_rights(b, 2);
        asks_all[b] = asks_all[b] || had[b] + j_ + sum_ < WANTED;
        if                                              /* the richest first; all, where that is not enough */
        :: !asks_all[b] && j_ >= sum_ && had[b] + j_ >= WANTED -> unanswered[b] = 1 << OTHER(b)
        :: !asks_all[b] && j_ < sum_ && had[b] + sum_ >= WANTED -> unanswered[b] = 4
        :: else -> unanswered[b] = 4 | (1 << OTHER(b))
        fi;
        if :: unanswered[b] & 4 -> asked[A(b, 2)] = UNDER_WAY :: else fi;
        if :: unanswered[b] & (1 << OTHER(b)) -> asked[A(b, OTHER(b))] = UNDER_WAY :: else fi;
        sum_ = 0; j_ = 0
    }
}

#ifdef BUG_REFUSED_FROM_HERE
#define IS_FACT(b) true
#else
#define IS_FACT(b) heard[b]
#endif

inline attempt(b) {
    count_rights(b, b); j_ = sum_;
    count_rights(b, 3);
    if
    :: j_ >= WANTED ->
        end_gathering(b); request[b] = WAITS; told[b] = PAID; taken = taken + WANTED; write_entry(b, TAKE, WANTED)
    :: j_ < WANTED && sum_ < WANTED && IS_FACT(b) ->
        assert(funds_before[b] < WANTED + taken);       /* a refusal is a fact */
        end_gathering(b); request[b] = WAITS; told[b] = REFUSED
    :: else ->
        if
        :: request[b] == WAITS ->
            if :: age[b] = 1 :: age[b] = 2 fi; request[b] = GATHERS; begin_round(b, sum_ < WANTED)
        :: else
        fi
    fi;
    sum_ = 0; j_ = 0
}

inline arrive(b) { request[b] = WAITS; funds_before[b] = acknowledged; attempt(b) }

#if defined(BUG_NOBODY_FIRST)
#define COMES_FIRST(b, x) false
#elif defined(BUG_BOTH_FIRST)
#define COMES_FIRST(b, x) true
#else
#define COMES_FIRST(b, x) (age[(b) % 2] < age[x] || (age[(b) % 2] == age[x] && (b) < (x)))
#endif
#define DEFERS(b, x) (IS_GATHERING(b) && COMES_FIRST(b, x) && asked[A(x, b)] != LATE)

inline grant(b, x) {                                    /* b gives to x */
    count_rights(b, b);
    j_ = WANTED - had[x];
#ifndef BUG_MORE_THAN_IT_HAS
    j_ = (sum_ < j_ -> sum_ : j_);
#endif
    if :: j_ > 0 -> write_entry(b, GRANT + x, j_) :: else fi;
    sum_ = 0; j_ = 0
}

inline answer_ask(b, x) {                               /* b answers x, now or later */
    if
    :: DEFERS(b, x) && asked[A(x, b)] == UNDER_WAY -> asked[A(x, b)] = DEFERRED
    :: !DEFERS(b, x) || give_ups ->
        if :: DEFERS(b, x) -> give_ups-- :: else fi;    /* its own round is taken for stalled */
        answer_to[b] = (asked[A(x, b)] == LATE -> GONE_AWAY : x);
        if :: doubles -> doubles--; asked[A(x, b)] = LATE :: asked[A(x, b)] = NOT_ASKED fi;
        grant(b, x)
    fi
}

#define IS_OVER(b) (!unanswered[b] && applied[A(b, OTHER(b))] >= awaited[A(b, OTHER(b))] \
                    && applied[A(b, 2)] >= awaited[A(b, 2)])

inline end_round(b) {
#ifdef BUG_HEARD_FROM_SOME
    heard[b] = 1;
#else
    heard[b] = heard[b] || asks_all[b];
#endif
    count_rights(b, b);
    if
    :: sum_ <= had[b] && !asks_all[b] -> sum_ = 0; begin_round(b, true)
    :: else ->
        attempt(b);
        if
        :: request[b] == GATHERS -> count_rights(b, 3); begin_round(b, sum_ < WANTED)
        :: else
        fi
    fi;
    sum_ = 0
}

inline stall(b) { give_ups--; begin_round(b, true) }

inline give_up(b) { give_ups--; end_gathering(b); request[b] = GIVEN_UP }

#ifdef BUG_DEPENDENCIES_SKIPPED
#define IS_CLOSED(b, e) true
#else
#define IS_CLOSED(b, e) (applied[A(b, 0)] >= needs[(e) * 3] && applied[A(b, 1)] >= needs[(e) * 3 + 1] \
                         && applied[A(b, 2)] >= needs[(e) * 3 + 2])
#endif
#ifdef BUG_SENT_BEFORE_COMMIT
#define SENT(o) applied[A(o, o)]
#else
#define SENT(o) (applied[A(o, o)] - pending[o])
#endif
#define CAN_APPLY(b, o) (SENT(o) > applied[A(b, o)] && IS_CLOSED(b, E(o, applied[A(b, o)] + 1)))

inline apply_next(b, o) {
    applied[A(b, o)]++;
    check_rights(b);
    if :: IS_GATHERING(b) -> attempt(b) :: else fi
}

inline commit_step(b) { pending[b] = 0 }

inline take_answer(b, x) {                              /* its last entry is named, and awaited from now on */
    unanswered[b] = unanswered[b] & ~(1 << x);
    if :: applied[A(x, x)] > awaited[A(b, x)] -> awaited[A(b, x)] = applied[A(x, x)] :: else fi
}

inline release(b) {
    if
    :: answer_to[b] < 2 -> take_answer(answer_to[b], b)
    :: else
    fi;
    answer_to[b] = NOT_ANY;
    if
    :: told[b] != NOT_YET && b < 2 -> request[b % 2] = told[b]
    :: told[b] != NOT_YET && b == 2 -> acknowledged++
    :: else
    fi;
    told[b] = NOT_YET
}

inline ask_again(x, b) {                                /* what b knew of x's question is gone */
    if
    :: IS_GATHERING(x) && (unanswered[x] & (1 << b)) -> asked[A(x, b)] = UNDER_WAY
    :: else
    fi
}

inline crash(b) {
    crashes--;
    if                                                  /* the client asks again, unless all was on the disk */
    :: b < 2 && told[b] == PAID && !pending[b] -> request[b % 2] = PAID
    :: b < 2 && told[b] == PAID && pending[b] -> taken = taken - WANTED; request[b % 2] = NOT_YET
    :: b < 2 && told[b] != PAID && (request[b % 2] == WAITS || request[b % 2] == GATHERS) -> request[b % 2] = NOT_YET
    :: b == 2 && told[b] != NOT_YET && pending[b] -> deposited = 0
    :: else
    fi;
    applied[A(b, b)] = applied[A(b, b)] - pending[b];
    pending[b] = 0; told[b] = NOT_YET; answer_to[b] = NOT_ANY;
    if :: b < 2 -> end_gathering(b % 2) :: else fi;
    if :: b != 0 -> ask_again(0, b) :: else fi;
    if :: b != 1 -> ask_again(1, b) :: else fi
}

#define IS_IDLE(b) (!pending[b] && told[b] == NOT_YET && answer_to[b] == NOT_ANY)

/* A step of a branch that will not crash any more is committed, and what it says is sent, at once: on its way it
 * can only be late, and it may be late in being sent on. */
#define MORTAL(b) (crashes && (b) == CRASHER)
inline finish(b) { if :: !MORTAL(b) -> commit_step(b); release(b) :: else fi }

proctype Branch(byte me; byte left; byte right) {
end:do
    :: atomic { TAKES_NOTE(me) && IS_IDLE(me) && CAN_APPLY(me, left) -> apply_next(me, left); finish(me) }
    :: atomic { TAKES_NOTE(me) && IS_IDLE(me) && CAN_APPLY(me, right) -> apply_next(me, right); finish(me) }
    :: atomic { pending[me] -> commit_step(me) }
    :: atomic { !pending[me] && !IS_IDLE(me) -> release(me) }
#ifdef BUG_SENT_BEFORE_COMMIT
    :: atomic { pending[me] -> release(me) }
#endif
    :: atomic { MORTAL(me) -> crash(me) }
    od
}

#define CAN_ANSWER(b, x) (IS_IDLE(b) && (asked[A(x, b)] == LATE || asked[A(x, b)] == UNDER_WAY \
                          || (asked[A(x, b)] == DEFERRED && (!DEFERS(b, x) || give_ups))))

proctype Gatherer(byte me; byte other) {
end:do
    :: atomic { IS_IDLE(me) && request[me] == NOT_YET -> arrive(me); finish(me) }
    :: atomic { CAN_ANSWER(other, me) -> answer_ask(other, me); finish(other) }
    :: atomic { CAN_ANSWER(2, me) -> answer_ask(2, me); finish(2) }
    :: atomic { IS_IDLE(me) && request[me] == GATHERS && IS_OVER(me) -> end_round(me); finish(me) }
    :: atomic { IS_IDLE(me) && request[me] == GATHERS && give_ups && !asks_all[me] -> stall(me) }
    :: atomic { IS_IDLE(me) && request[me] == GATHERS && give_ups -> give_up(me) }
    od
}

proctype World() {
    do
    :: atomic { DEPOSITS && IS_IDLE(2) && !deposited -> deposit(); finish(2) }
    :: atomic { timeout -> break }
    od;
    assert(request[0] == PAID || request[0] == REFUSED || request[0] == GIVEN_UP);  /* every request ends */
    assert(request[1] == PAID || request[1] == REFUSED || request[1] == GIVEN_UP);  /* every request ends */
    assert(taken <= 3 + deposited)                      /* never below the floor */
}

init {
    atomic {
        run Branch(0, 1, 2); run Branch(1, 2, 0); run Branch(2, 0, 1);
        run Gatherer(0, 1); run Gatherer(1, 0); run World()
    }
}
