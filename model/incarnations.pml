/* Incarnations and tokens: a branch whose disk was lost comes back with a new store.
 *
 * Modelled: three branches; entries with dependencies; streams that carry entries, greetings and answers, and
 * that go on carrying for a while what a dead branch had sent; inboxes; relays (whoever has an entry may send
 * it); LOSSES lost disks, at any moment, also while another branch joins; a session's token that names any
 * acknowledged entry and is shown at any branch. Each branch has the right to take out 1, once: a life that
 * spends again what an earlier life spent, and what comes to light, shows as a right below 0.
 * Left out: crashes that keep the disk (see rights.pml), grants, more than two lives of a branch, an old disk
 * that comes back, cuts of streams between living branches (a stream may be as slow as it likes instead).
 *
 * An entry is a bit: 4 for each branch, 2 for each of its lives. Whatever a branch has is a set of bits.
 *
 * step          | in the code (src/bankbook/core)
 * --------------|---------------------------------------------------------------------
 * write_entry   | logs.py Logs.write, requests.py Requests._write_and_finish
 * lose_disk     | server/branch.py _open_store, joining.py Joining.begin
 * open_stream   | replica.py Replica._on_subscriber_here
 * note_life     | replica.py Replica._greet, logs.py Logs.forget_lives_before, joining.py Joining.on_new_life
 * greeted       | replica.py Replica._on_connected
 * cut_stream    | replica.py Replica._on_disconnected
 * answer_joiner | replica.py Replica._on_ask_head, gathering.py Gatherings.answer_ask
 * take_answer   | replica.py Replica._on_received, replica.py Replica._on_head, joining.py Joining._on_answer
 * join          | joining.py Joining.wake
 * send_entries  | replication.py Outbox.due
 * take_entries  | logs.py Logs.offer, logs.py Logs.advance, replication.py Inbox.offer
 * look_at_token | admission.py writes_lost, admission.py hopeless, requests.py Requests._waits_for_entries
 */
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef WRITES
#define WRITES 3
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#define LOG(b, life)   (3 << ((b) * 4 + (life) * 2))
#define LOGS(b)        (15 << ((b) * 4))
#define BIT(e)         (1 << (e))
#define ANSWERED       4096        /* beside the 12 entries: there is an answer */
#define L(b, x)        ((b) * 3 + (x))
#define OTHER(b, n)    (((b) + (n)) % 3)
#define THIRD(b, x)    (3 - (b) - (x))
#define IS_ALIVE(b, x) (knows_life(b, x) == link[L(b, x)])
#define knows_life(b, x) noted[L(b, x)]

short deps[12];        /* what each entry depends on, the earlier ones of its own log among it */
short exists, takes, rejoins;  /* which entries were ever written; which take out 1; which say where a log ends */
short applied[3];      /* what each branch has applied, on its disk */
byte life[3];          /* which life of its store each is in: 0 or 1 */
bit joined[3] = 1;     /* on its disk */
short inbox[3];        /* what has arrived and waits for its dependencies */
byte noted[9];         /* which life of the other one a branch has noted, from 1; 0: none yet */
byte link[9];          /* who greeted at the other end of its stream from there; 0: it is down */
byte hail[9];          /* a greeting on its way down a stream that was just opened */
short wire[9];         /* entries on their way to a branch */
bit asked[9];          /* a joiner's question on its way, or asked again after a loss */
short answer[9];       /* its answer on its way */
byte answerer[9];      /* from which life */
short got[9];          /* the answer as it was taken */
byte token[3];         /* who is held at a branch with a token that names entry - 1; 0: nobody */
byte losses = LOSSES, writes = WRITES;
bit late[3];           /* a greeting of branch 0's first life, come late to another branch */
bit shown, is_calm;    /* the token was shown; nothing more is lost or written */
byte i_;               /* scratch, like the next ones */
short m_;

inline write_entry(b, is_take) {
    d_step {
        i_ = b * 4 + life[b] * 2;
        if :: applied[b] & BIT(i_) -> i_++ :: else fi;
        assert(!(exists & BIT(i_)));                  /* no sequence number is used twice */
        deps[i_] = applied[b];
        exists = exists | BIT(i_);
        if :: is_take -> takes = takes | BIT(i_) :: else fi;
        applied[b] = applied[b] | BIT(i_);
        i_ = 0
    }
}

inline lose_disk(b) {
    d_step {
        losses--;
#ifdef LATE_GREETING
        if :: b == 0 -> late[1] = 1 :: else fi;
#endif
#ifndef SABOTAGE_SAME_INCARNATION
        life[b]++;
#endif
        applied[b] = 0; inbox[b] = 0; token[b] = 0;
        joined[b] = 0;
        i_ = 1;
        do
        :: i_ < 3 ->
            m_ = L(b, OTHER(b, i_));
            noted[m_] = 0; link[m_] = 0; hail[m_] = 0; wire[m_] = 0;
            asked[m_] = 0; answer[m_] = 0; answerer[m_] = 0; got[m_] = 0;
            m_ = L(OTHER(b, i_), b);
            asked[m_] = 0;                              /* the other one's question is lost: asked again */
            i_++
        :: else -> break
        od;
        i_ = 0; m_ = 0
    }
}

#ifdef MENDED
#define IS_NEWS(b, x, l) (noted[L(b, x)] < l)
#else
#define IS_NEWS(b, x, l) (noted[L(b, x)] != l)
#endif

inline note_life(b, x, l) {
    d_step {
        if
        :: IS_NEWS(b, x, l) ->
            noted[L(b, x)] = l;
#ifndef SABOTAGE_INBOX_KEPT
            inbox[b] = inbox[b] & ~(LOGS(x) & ~LOG(x, l - 1));
#endif
            if
            :: !joined[b] && got[L(b, x)] -> got[L(b, x)] = 0; asked[L(b, x)] = 1
            :: else
            fi
#ifdef MENDED
            ;
            if
            :: !joined[b] && got[L(b, THIRD(b, x))] -> got[L(b, THIRD(b, x))] = 0; asked[L(b, THIRD(b, x))] = 1
            :: else
            fi
#endif
        :: else
        fi
    }
}

#define ENDED(b, x)   (applied[b] & rejoins & LOG(x, 1))
#define SAVED(x)      (deps[(x) * 4 + 2] & LOG(x, 0))       /* what the first entry of life 1 depends on */

inline open_stream(b, x) {
    hail[L(b, x)] = life[x] + 1;
    wire[L(b, x)] = 0;
#ifndef SABOTAGE_LIFE_NOT_NOTED
    note_life(x, b, life[b] + 1)
#endif
}

inline greeted(b, x) {
    d_step {
        if
        :: !(hail[L(b, x)] == 1 && ENDED(b, x)) ->
            note_life(b, x, hail[L(b, x)]);
            link[L(b, x)] = hail[L(b, x)];
            if :: !joined[b] && !got[L(b, x)] -> asked[L(b, x)] = 1 :: else fi
        :: else -> wire[L(b, x)] = 0                   /* a store that was replaced is nobody any more */
        fi;
        hail[L(b, x)] = 0
    }
}

inline cut_stream(b, x) {
    d_step {
        link[L(b, x)] = 0; hail[L(b, x)] = 0; wire[L(b, x)] = 0;
        answer[L(b, x)] = 0; answerer[L(b, x)] = 0
    }
}

inline answer_joiner(b, x) {       /* x answers b */
    asked[L(b, x)] = 0; answer[L(b, x)] = ANSWERED | applied[x]; answerer[L(b, x)] = life[x] + 1;
#ifdef MENDED
    note_life(x, THIRD(b, x), noted[L(b, THIRD(b, x))])
#endif
}

inline take_answer(b, x) {
    d_step {
        if
        :: IS_ALIVE(b, x) && answerer[L(b, x)] == noted[L(b, x)] && !joined[b] -> got[L(b, x)] = answer[L(b, x)]
        :: else
        fi;
        answer[L(b, x)] = 0; answerer[L(b, x)] = 0
    }
}

#ifdef SABOTAGE_ONE_NOT_AWAITED
#define ALL_ANSWERED(b) (got[L(b, OTHER(b, 1))] || got[L(b, OTHER(b, 2))])
#else
#define ALL_ANSWERED(b) (got[L(b, OTHER(b, 1))] && got[L(b, OTHER(b, 2))])
#endif
#ifdef SABOTAGE_NOT_FETCHED
#define LACKS(b) 0
#else
#define LACKS(b) ((got[L(b, OTHER(b, 1))] | got[L(b, OTHER(b, 2))]) & ~ANSWERED & ~applied[b])
#endif

inline join(b) {
    d_step {
        joined[b] = 1;
        got[L(b, OTHER(b, 1))] = 0; got[L(b, OTHER(b, 2))] = 0;
        if
        :: applied[b] & LOG(b, 0) -> rejoins = rejoins | BIT(b * 4 + 2); write_entry(b, 0)
        :: else
        fi
    }
}

/* Each branch's first life can take once, and the second one too: both together is once too often. */
#define OVERSPENT(b, x) ((applied[b] & takes & LOG(x, 0)) && (applied[b] & takes & LOG(x, 1)))

inline take_entries(b, x) {
    d_step {
        if
        :: IS_ALIVE(b, x) ->
            m_ = wire[L(b, x)] & ~applied[b];
            i_ = 0;
            do                                          /* beyond where a log ended there is nothing */
            :: i_ < 3 -> if :: ENDED(b, i_) -> m_ = m_ & ~(LOG(i_, 0) & ~SAVED(i_)) :: else fi; i_++
            :: else -> break
            od;
            inbox[b] = inbox[b] | m_;
        :: else                                         /* an earlier life had sent it */
        fi;
        wire[L(b, x)] = 0;
        i_ = 0;
        do
        :: i_ < 12 && (inbox[b] & BIT(i_)) && !(deps[i_] & ~applied[b]) ->
            inbox[b] = inbox[b] & ~BIT(i_);
            applied[b] = applied[b] | BIT(i_);
            i_ = 0                                      /* what waited for it may be earlier in this order */
        :: i_ < 12 && !((inbox[b] & BIT(i_)) && !(deps[i_] & ~applied[b])) -> i_++
        :: i_ == 12 -> break
        od;
        i_ = 0; m_ = 0
    }
    assert(!OVERSPENT(b, 0) && !OVERSPENT(b, 1) && !OVERSPENT(b, 2))
}

#define NAMED(b)      (token[b] - 1)
#define OWNER(b)      (NAMED(b) / 4)
#define IS_OLD(b)     (NAMED(b) % 4 < 2)
#define SATISFIED(b)  (applied[b] & BIT(NAMED(b)))
#define KNOWN_LOST(b) (IS_OLD(b) && ((ENDED(b, OWNER(b)) && !(SAVED(OWNER(b)) & BIT(NAMED(b)))) \
                       || (OWNER(b) == b && life[b] == 1 && !SATISFIED(b))))
/* The new life answered a heartbeat; all that it wrote is here, and nothing is known of the earlier one. */
#define HOPELESS(b)   (IS_OLD(b) && OWNER(b) != b && joined[OWNER(b)] && noted[L(b, OWNER(b))] == 2 \
                       && link[L(b, OWNER(b))] == 2 && life[OWNER(b)] == 1 \
                       && !(exists & LOG(OWNER(b), 1) & ~applied[b]) && !(applied[b] & LOG(OWNER(b), 0)))
#ifdef SABOTAGE_LOSS_NOT_TOLD
#define REFUSABLE(b)  KNOWN_LOST(b)
#else
#define REFUSABLE(b)  (KNOWN_LOST(b) || HOPELESS(b))
#endif

inline look_at_token(b) {
    if
    :: REFUSABLE(b) -> assert(!SATISFIED(b))            /* what is saved is never called lost */
    :: else
    fi;
    token[b] = 0
}

inline send_entries(b, x) { wire[L(b, x)] = wire[L(b, x)] | (applied[x] & ~applied[b]) }

/* What a branch that never loses its disk sends is taken at once: on its way it can only be late, and whoever
 * is late is late elsewhere too. */
#define IS_MORTAL(x)  ((x) < LOSSES)
#define IS_DEAD(l, x) ((l) && (l) != life[x] + 1)
#define IS_UP(b, x)   (link[L(b, x)] == life[x] + 1)

#define WITH(b, x) \
    :: atomic { !link[L(b, x)] && !hail[L(b, x)] -> \
                open_stream(b, x); if :: !IS_MORTAL(x) -> greeted(b, x) :: else fi } \
    :: atomic { hail[L(b, x)] -> greeted(b, x) } \
    :: atomic { IS_DEAD(link[L(b, x)], x) || IS_DEAD(hail[L(b, x)], x) -> cut_stream(b, x) } \
    :: atomic { asked[L(b, x)] && IS_UP(b, x) && !answer[L(b, x)] -> \
                answer_joiner(b, x); if :: !IS_MORTAL(x) -> take_answer(b, x) :: else fi } \
    :: atomic { answer[L(b, x)] && link[L(b, x)] -> take_answer(b, x) } \
    :: atomic { IS_UP(b, x) && (applied[x] & ~applied[b] & ~wire[L(b, x)] & ~inbox[b]) -> \
                send_entries(b, x); if :: !IS_MORTAL(x) -> take_entries(b, x) :: else fi } \
    :: atomic { wire[L(b, x)] && link[L(b, x)] -> take_entries(b, x) }

#define MAY_WRITE(b) (!is_calm && writes && joined[b] && b < WRITERS \
                      && (applied[b] & LOG(b, life[b])) != LOG(b, life[b]))
#define MAY_TAKE(b)  (!(applied[b] & takes & LOGS(b)))

proctype Branch(byte me) {
end:do
    :: atomic { MAY_WRITE(me) -> writes--; write_entry(me, 0) }
    :: atomic { MAY_WRITE(me) && MAY_TAKE(me) -> writes--; write_entry(me, 1) }
    :: atomic { !is_calm && losses && me < LOSSES && life[me] == 0 -> lose_disk(me) }
    WITH(me, OTHER(me, 1))
    WITH(me, OTHER(me, 2))
    :: atomic { !joined[me] && ALL_ANSWERED(me) && !LACKS(me) -> join(me) }
    :: atomic { late[me] -> note_life(me, 0, 1); late[me] = 0 }
    :: atomic { token[me] && joined[me] && (SATISFIED(me) || REFUSABLE(me)) -> look_at_token(me) }
    od
}

inline select_entry() {
    byte e, b;
    if :: e = 0 :: exists & BIT(1) -> e = 1 fi;
    if :: b = 0 :: b = 1 :: b = 2 fi;
    token[b] = e + 1;
    e = 0; b = 0
}

proctype Customer() {
    do
#ifdef TOKENS
    :: atomic { !shown && !is_calm && (exists & LOG(0, 0)) -> shown = 1; select_entry() }
#endif
    :: atomic { !is_calm -> is_calm = 1; break }
    od;
    timeout ->                                          /* nothing is left to be done */
    assert(joined[0] && joined[1] && joined[2]);
    assert(applied[0] == applied[1] && applied[1] == applied[2]);
    assert(!token[0] && !token[1] && !token[2])         /* nobody waits for what will never come */
}

init {
    atomic {
        byte n = 0;
        do
        :: n < 9 -> noted[n] = 1; link[n] = 1; n++
        :: else -> break
        od;
        noted[0] = 0; noted[4] = 0; noted[8] = 0; link[0] = 0; link[4] = 0; link[8] = 0;
        run Branch(0); run Branch(1); run Branch(2); run Customer()
    }
}
