/* Idempotency keys: one request, sent to any branch any number of times, takes effect at most once.
 *
 * Modelled: three branches, each with a log on its disk; one key, born at branch 0; a client that sends its
 * request SENDS times, to whichever branch, also while earlier ones are held; requests held for rights; fences
 * and chains of them; questions and answers that are lost (by a crash, or because the asker gave up) or, up to
 * DOUBLES times, doubled; entries that arrive late and out of order between logs; a step that is committed
 * before anything leaves, and CRASHES crashes at every point around that.
 * Left out: fingerprints, the keys' retention, what a hold waits for (it ends at any moment), forwarding,
 * lost disks (incarnations.pml). Who is woken goes on at once in the code; here, at any later moment.
 *
 * step          | in the code (src/bankbook/core)
 * --------------|---------------------------------------------------------------------
 * send          | requests.py Requests.on_request
 * proceed       | requests.py Requests.proceed, requests.py Requests._was_decided, requests.py Requests._waits_for_key
 * ask_owner     | requests.py Requests._ask_owner, requests.py Requests._wait_for_new_owner
 * carry_out     | requests.py Requests._carry_out, requests.py Requests._write_and_finish, carrying_out.py write
 * replay_answer | requests.py Requests._replay, keys.py replay
 * answer_key    | keys.py answer_key
 * take_answer   | requests.py Requests._on_answer
 * apply_next    | logs.py Logs.advance, state.py State._note_key
 * outranks      | state.py _rank
 * give_up       | requests.py Requests.expire
 * commit_step   | replica.py Replica.step, server/driver.py Driver._commit
 * crash         | replica.py Replica.__init__
 */
#ifndef SENDS
#define SENDS 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef DOUBLES
#define DOUBLES 1
#endif
#define NOBODY  3
#define BIRTH   0
#ifndef LOG_MAX
#define LOG_MAX 2                             /* what would come after that many entries in a log is left out */
#endif
#define E(o, s) ((o) * LOG_MAX + (s) - 1)     /* the place of entry s, from 1, of branch o's log */
#define A(b, o) ((b) * 3 + (o))
#define LATE    2
#define UNKNOWN 255                           /* an answer: I was never asked to keep it */
#define NONE    0                             /* no entry; entries are told by their place + 1 */

mtype = { FREE, LOOK, ASKS, AWAITS, HELD, YIELDS }

byte moved_to[3 * LOG_MAX];     /* of each entry: to whom it gives the key; NOBODY: it decides the request */
bit verdict[3 * LOG_MAX];       /* what a deciding entry told: 1 carried out, 0 refused */
byte clock[3 * LOG_MAX];        /* its hybrid clock reading */
byte needs[9 * LOG_MAX];        /* what it depends on: the last entry of each log */
byte applied[9];       /* what each branch has applied; all on its disk but its own last entry */
bit pending[3];        /* its step is not committed yet */
byte answer_to[3] = NOBODY;    /* to whom it answers once the step is committed */
byte told_entry[3];    /* and what */
bit reply[3];          /* whether it answers the client then */
byte known[3];         /* the entry that says what is known of the key here */

mtype state[3] = FREE; /* the request that is held at each branch */
byte owner[3] = NOBODY;   /* whom it asks */
byte awaited[3];       /* the entry it waits for */
bit had_key[3];
byte asked[9];         /* A(b, o): a question of b is on its way to o; LATE: nobody waits for its answer */
byte answers[9];       /* A(b, o): the answer of o to b, on its way */
byte sends = SENDS, crashes = CRASHES, doubles = DOUBLES;
byte told = NOBODY;    /* what the client was told first */
byte decided;          /* the entry, if any, that decides the key */
byte i_, j_;           /* scratch */

#define HAS_ROOM(b) (applied[A(b, b)] < LOG_MAX)
#define HAS(b, e)   (applied[A(b, ((e) - 1) / LOG_MAX)] > ((e) - 1) % LOG_MAX)
#define OWNER(b)    (known[b] == NONE -> BIRTH : moved_to[known[b] - 1])
#define IS_DECIDED(b) (known[b] != NONE && moved_to[known[b] - 1] == NOBODY)

/* A decision is final; of two fences the later one says where the key is. */
#define outranks(e, f) (f == NONE || (moved_to[(f) - 1] != NOBODY && \
                        (moved_to[(e) - 1] == NOBODY || clock[(e) - 1] > clock[(f) - 1])))

inline tell(v) {
    assert(told == NOBODY || told == v);              /* every answer agrees */
    told = v
}

inline write_entry(b, to, v) {
    d_step {
        assert(HAS_ROOM(b));                            /* a bound of this model */
        i_ = E(b, applied[A(b, b)] + 1);
        j_ = 0;
        moved_to[i_] = to; verdict[i_] = v;
        clock[i_] = 1;
        do
        :: j_ < 3 * LOG_MAX ->                                  /* later than all that was applied here */
            if :: applied[A(b, j_ / LOG_MAX)] > j_ % LOG_MAX && clock[j_] >= clock[i_] && j_ != i_ ->
                clock[i_] = clock[j_] + 1
               :: else fi;
            j_++
        :: else -> break
        od;
        needs[i_ * 3] = applied[A(b, 0)]; needs[i_ * 3 + 1] = applied[A(b, 1)]; needs[i_ * 3 + 2] = applied[A(b, 2)];
        applied[A(b, b)]++;
        known[b] = i_ + 1;
        pending[b] = 1;
        i_ = 0; j_ = 0
    }
}

inline end_hold(b) {
    d_step {
        state[b] = FREE; owner[b] = NOBODY; awaited[b] = NONE; had_key[b] = 0;
        asked[A(b, 0)] = (asked[A(b, 0)] -> LATE : 0);
        asked[A(b, 1)] = (asked[A(b, 1)] -> LATE : 0);
        asked[A(b, 2)] = (asked[A(b, 2)] -> LATE : 0);
        answers[A(b, 0)] = 0; answers[A(b, 1)] = 0; answers[A(b, 2)] = 0
    }
}

inline replay_answer(b) { end_hold(b); tell(verdict[known[b] - 1]) }

inline carry_out(b) {
    if
    :: state[b] = HELD                                  /* it lacks rights, and waits */
    :: HAS_ROOM(b) ->
        if :: i_ = 1 :: i_ = 0 fi;                      /* carried out, or refused */
        write_entry(b, NOBODY, i_); end_hold(b); reply[b] = 1
    fi
}

inline ask_owner(b) {
    if
    :: had_key[b] -> state[b] = YIELDS                  /* who has it now decides; this one waits */
    :: else -> state[b] = ASKS; owner[b] = OWNER(b); asked[A(b, OWNER(b))] = 1
    fi
}

#ifdef BUG_NO_SECOND_LOOKUP
#define LOOKS_UP(b) (state[b] != HELD)
#else
#define LOOKS_UP(b) true
#endif

inline proceed(b) {
    if
    :: LOOKS_UP(b) && IS_DECIDED(b) -> replay_answer(b)
    :: LOOKS_UP(b) && !IS_DECIDED(b) && OWNER(b) != b -> ask_owner(b)
    :: else -> had_key[b] = 1; carry_out(b)
    fi
}

/* An entry has come, or was written here, or the rights have: whoever waits for it goes on. */
#define IS_AWAKE(b) (state[b] == LOOK || state[b] == HELD || (state[b] == AWAITS && HAS(b, awaited[b])) \
                     || (state[b] == ASKS && IS_DECIDED(b)) \
                     || (state[b] == YIELDS && (IS_DECIDED(b) || OWNER(b) == b)))

inline send(b) { sends--; state[b] = LOOK }

#define IS_AWAITED(b, x) (state[b] == ASKS && owner[b] == x)

inline answer_key(b, x) {                               /* x asks b */
    if
    :: asked[A(x, b)] == 1 && IS_AWAITED(x, b) -> answer_to[b] = x
    :: else                                             /* the fence is written, and its answer comes to nobody */
    fi;
    if
    :: doubles -> doubles--                             /* it comes once more, perhaps much later */
    :: asked[A(x, b)] = 0
    fi;
    if
    :: known[b] != NONE && OWNER(b) != b -> told_entry[b] = known[b]
    :: known[b] == NONE && BIRTH != b -> told_entry[b] = UNKNOWN
#ifdef BUG_NO_FENCE
    :: OWNER(b) == b -> told_entry[b] = UNKNOWN
#else
    :: OWNER(b) == b -> write_entry(b, x, 0); told_entry[b] = known[b]
#endif
    fi
}

inline take_answer(b, x) {
    if
    :: IS_AWAITED(b, x) && answers[A(b, x)] == UNKNOWN -> end_hold(b);
#ifdef BUG_NO_FENCE
       write_entry(b, NOBODY, 1); reply[b] = 1
#endif
    :: IS_AWAITED(b, x) && answers[A(b, x)] != UNKNOWN -> state[b] = AWAITS; awaited[b] = answers[A(b, x)];
#ifdef BUG_ANSWER_TRUSTED
       if :: moved_to[awaited[b] - 1] == b && HAS_ROOM(b) -> write_entry(b, NOBODY, 1); end_hold(b); reply[b] = 1 :: else fi
#endif
    :: else
    fi;
    answers[A(b, x)] = NONE
}

#define IS_CLOSED(b, e) (applied[A(b, 0)] >= needs[(e) * 3] && applied[A(b, 1)] >= needs[(e) * 3 + 1] \
                         && applied[A(b, 2)] >= needs[(e) * 3 + 2])
#define DURABLE(o) (applied[A(o, o)] - pending[o])
#define CAN_APPLY(b, o) (DURABLE(o) > applied[A(b, o)] && IS_CLOSED(b, E(o, applied[A(b, o)] + 1)))

inline apply_next(b, o) {
    d_step {
        applied[A(b, o)]++;
        i_ = E(o, applied[A(b, o)]) + 1;
        if :: outranks(i_, known[b]) -> known[b] = i_ :: else fi;
        i_ = 0
    }
}

inline give_up(b) { end_hold(b) }

inline commit_step(b) {
    pending[b] = 0;
    if
    :: moved_to[E(b, applied[A(b, b)])] == NOBODY ->
        assert(decided == NONE);                        /* it takes effect once */
        decided = E(b, applied[A(b, b)]) + 1
    :: else
    fi
}

inline release(b) {
    if
    :: answer_to[b] != NOBODY -> answers[A(answer_to[b], b)] = told_entry[b]; answer_to[b] = NOBODY
    :: else
    fi;
    told_entry[b] = NONE;
    if :: reply[b] -> reply[b] = 0; tell(verdict[E(b, applied[A(b, b)])]) :: else fi
}

inline crash(b) {
    d_step {
        crashes--;
        applied[A(b, b)] = applied[A(b, b)] - pending[b];
        pending[b] = 0; answer_to[b] = NOBODY; told_entry[b] = NONE; reply[b] = 0;
        end_hold(b);
        known[b] = NONE;
        i_ = 1;
        do
        :: i_ <= 3 * LOG_MAX -> if :: HAS(b, i_) && outranks(i_, known[b]) -> known[b] = i_ :: else fi; i_++
        :: else -> break
        od;
        i_ = 0
    }
}

#define IS_IDLE(b) (!pending[b] && !told_entry[b] && !reply[b])
#define WITH(b, x) \
    :: atomic { IS_IDLE(b) && asked[A(x, b)] && HAS_ROOM(b) -> answer_key(b, x) } \
    :: atomic { IS_IDLE(b) && answers[A(b, x)] -> take_answer(b, x) } \
    :: atomic { IS_IDLE(b) && CAN_APPLY(b, x) -> apply_next(b, x) }

proctype Branch(byte me; byte left; byte right) {
end:do
    :: atomic { IS_IDLE(me) && sends && state[me] == FREE -> send(me) }
    :: atomic { IS_IDLE(me) && IS_AWAKE(me) -> proceed(me) }
    :: atomic { IS_IDLE(me) && state[me] != FREE -> give_up(me) }
    WITH(me, left)
    WITH(me, right)
    :: atomic { pending[me] -> commit_step(me) }
    :: atomic { !pending[me] && !IS_IDLE(me) -> release(me) }
    :: atomic { crashes -> crash(me) }
    od
}

init { atomic { run Branch(0, 1, 2); run Branch(1, 2, 0); run Branch(2, 0, 1) } }
