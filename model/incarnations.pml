/* Incarnations and tokens: a branch begins a new life with an empty disk, and an old disk may come back.
 *
 * Modelled: three branches; of branches 0 and 1 two stores each, and an operator who starts a branch with
 * either of its stores again and again, BOOTS times, also amid anything; streams that go on carrying what a store
 * that is out of use had sent; entries with dependencies, relays, inboxes; a joiner's questions; greetings that
 * come late; one session token, shown at any branch. A branch has the right to take out 1, once.
 * Left out: grants (rights.pml), three lives of a branch, two processes of one branch at the same time.
 *
 * A set of stores, or of entries, is a word of bits: store 2b + l is life l of branch b; entry 2s + n is the
 * n-th of store s. What is written here as one step is one step of the code, committed before anything leaves.
 *
 * step          | in the code (src/bankbook/core)
 * --------------|---------------------------------------------------------------------
 * write_entry   | logs.py Logs.write
 * boot          | server/branch.py _open_store, replica.py Replica.__init__, joining.py Joining.begin
 * hear_of       | replica.py Replica._greet, logs.py Logs.forget_lives_before, joining.py Joining.on_new_life
 * connect       | replica.py Replica._on_connected
 * answer_joiner | replica.py Replica._on_ask_head, gathering.py Gatherings.answer_ask, joining.py Joining._on_answer
 * join          | joining.py Joining.wake
 * take_entry    | logs.py Logs.offer, logs.py Logs.advance, replica.py Replica._on_received
 * look_at_token | admission.py writes_lost, admission.py hopeless
 */
#ifndef BOOTS
#define BOOTS 3
#endif
#ifndef WRITES
#define WRITES 3
#endif
#ifndef LATE
#define LATE 1                           /* how many greetings come late */
#endif
#ifndef MORTALS
#define MORTALS 1                        /* of how many branches the disk may be changed */
#endif
#define BIT(n)      (1 << (n))
#define STORE(b)    ((b) * 2 + life[b])
#define BRANCH(s)   ((s) / 2)
#define STORES(b)   (3 << ((b) * 2))
#define LOG(s)      (3 << ((s) * 2))
#define LOGS(b)     (15 << ((b) * 4))
#define REJOINING(b) ((b) * 4 + 2)       /* the first entry of life 1; it says where the log of life 0 ended */
#define L(b, x)     ((b) * 3 + (x))      /* the stream by which b reads from x */
#define NEXT(b)     (((b) + 1) % 3)
#define LAST(b)     (((b) + 2) % 3)
#define ANSWERED    4096                 /* beside the 12 entries: there is an answer */

short deps[12];          /* what each entry depends on, the earlier ones of its log among it */
short exists, takes;     /* which entries were ever written, and which of them take out 1 */
short applied[6];        /* what each store has applied */
bit joined[6];           /* whether it serves */
byte present[6];         /* the note of lives: whom it takes for the present stores of the branches */
byte known[6];           /* whom it has ever heard of */
byte former[6];          /* and whom for stores that others have followed */
byte life[3];            /* which of its stores each branch runs with. From here on, in its memory: */
short inbox[3];          /* what has arrived and waits for its dependencies */
byte link[9];            /* which store, from 1, greeted at the other end of a stream; 0: it is down */
short got[9];            /* what a joiner was told that another branch has */
bit doubtful[3];         /* a joiner has heard of a new life after it had got answers */
byte token[3];           /* which entry, from 1, is named by a token that is held there */
short refused;           /* which entries were ever called lost */
byte boots = BOOTS, late = LATE, writes = WRITES, ever = 21;   /* ever: which stores were ever in use */
bit shown, is_calm;
byte e_; short s_;

#define ENDED(b, s)  (!((s) % 2) && (applied[STORE(b)] & exists & BIT(REJOINING(BRANCH(s)))))
#define HAS(b, e)    (applied[STORE(b)] & BIT(e))
#define IS_OVERSPENT(b, x) ((applied[STORE(b)] & takes & LOG((x) * 2)) && (applied[STORE(b)] & takes & LOG((x) * 2 + 1)))

inline write_entry(b, is_take) {
    printf("store %d writes an entry; it takes out: %d\n", STORE(b), is_take);
    e_ = STORE(b) * 2;
    if :: HAS(b, e_) -> e_++ :: else fi;
    assert(!(exists & BIT(e_)));                        /* no sequence number is used twice */
    deps[e_] = applied[STORE(b)];
    exists = exists | BIT(e_);
    takes = takes | (is_take -> BIT(e_) : 0);
    applied[STORE(b)] = applied[STORE(b)] | BIT(e_);
    e_ = 0
}

#ifdef WITHOUT_NOTE
#define IS_REFUSED(b, s) ENDED(b, s)
#else
#define IS_REFUSED(b, s) (ENDED(b, s) || (former[STORE(b)] & BIT(s)))
#endif
#define IS_OUT_OF_USE(b) IS_REFUSED(b, STORE(b))

inline boot(b, l) {
    printf("branch %d starts with store %d\n", b, b * 2 + l);
    life[b] = l;
    ever = ever | BIT(STORE(b));
    inbox[b] = 0; doubtful[b] = 0; token[b] = 0;
    link[L(b, NEXT(b))] = 0; link[L(b, LAST(b))] = 0; got[L(b, NEXT(b))] = 0; got[L(b, LAST(b))] = 0;
#if defined(WITHOUT_NOTE) || defined(BUG_NOTE_IN_MEMORY)
    present[STORE(b)] = 0; known[STORE(b)] = 0; former[STORE(b)] = 0
#endif
}

inline forget_answers_of_former(b, x) {
    if
    :: former[STORE(b)] & present[STORE(b)] & STORES(x) ->
        present[STORE(b)] = present[STORE(b)] & ~STORES(x); got[L(b, x)] = 0; link[L(b, x)] = 0
    :: else
    fi
}

/* One tells another which stores have been followed by others; that of the other itself may be among them. */
inline pass_note(x, b) {
    skip;
#if !defined(WITHOUT_NOTE) && !defined(BUG_NOTE_NOT_PASSED_ON)
    former[STORE(b)] = former[STORE(b)] | former[STORE(x)];
    forget_answers_of_former(b, NEXT(b));
    forget_answers_of_former(b, LAST(b))
#endif
}

inline hear_of(b, s) {
    printf("store %d hears of store %d\n", STORE(b), s);
    if
    :: !IS_REFUSED(b, s) && !(present[STORE(b)] & BIT(s)) ->
        known[STORE(b)] = known[STORE(b)] | BIT(s);
#ifdef BUG_GREETING_ENDS_A_LIFE
        former[STORE(b)] = former[STORE(b)] | (present[STORE(b)] & STORES(BRANCH(s)));
#endif
        present[STORE(b)] = (present[STORE(b)] & ~STORES(BRANCH(s))) | BIT(s);
        inbox[b] = inbox[b] & ~(LOGS(BRANCH(s)) & ~LOG(s));
        doubtful[b] = !joined[STORE(b)] && (got[L(b, NEXT(b))] || got[L(b, LAST(b))]);
        got[L(b, BRANCH(s))] = 0
    :: else
    fi
}

inline connect(b, x) {
    printf("store %d connects to store %d\n", STORE(b), STORE(x));
    hear_of(b, STORE(x));
    link[L(b, x)] = STORE(x) + 1;
    pass_note(x, b)
}

inline answer_joiner(x, b) {
    printf("store %d answers joiner %d\n", STORE(x), STORE(b));
    hear_of(x, STORE(b));
#ifndef WITHOUT_NOTE
    if
    :: !IS_REFUSED(x, STORE(b)) ->                      /* a promise: x takes no more of what came before */
        former[STORE(x)] = former[STORE(x)] | (known[STORE(x)] & STORES(b) & ~BIT(STORE(b)));
#ifndef BUG_INBOX_KEPT
        inbox[x] = inbox[x] & ~(LOGS(b) & ~LOG(STORE(b)))
#endif
    :: else
    fi;
#endif
    pass_note(x, b);
    if :: !IS_REFUSED(x, STORE(b)) && link[L(b, x)] -> got[L(b, x)] = ANSWERED | applied[STORE(x)] :: else fi
}

#define ALL_ANSWERED(b) (got[L(b, NEXT(b))] && got[L(b, LAST(b))])
#define LACKS(b) ((got[L(b, NEXT(b))] | got[L(b, LAST(b))]) & ~ANSWERED & ~applied[STORE(b)])

inline join(b) {
    printf("store %d joins, unless in doubt: %d\n", STORE(b), doubtful[b]);
    got[L(b, NEXT(b))] = 0; got[L(b, LAST(b))] = 0;
    if
    :: doubtful[b] -> doubtful[b] = 0
    :: !doubtful[b] ->
        joined[STORE(b)] = 1;
        if :: applied[STORE(b)] & LOG(b * 2) -> write_entry(b, 0) :: else fi
    fi
}

/* The entries of store s that b takes from nobody. */
#define SAVED(s) (deps[REJOINING(BRANCH(s))] & LOG(s))
#ifdef WITHOUT_NOTE
#define READS(b) true
#define IS_FROZEN(b, s, from) false
#define IS_SAID(b, s) ENDED(b, s)
#else
#ifdef BUG_JOINER_READS_AT_ONCE
#define READS(b) true
#else
#define READS(b) (joined[STORE(b)] || ALL_ANSWERED(b))
#endif
#ifdef BUG_FORMER_LOG_GOES_ON
#define IS_FROZEN(b, s, from) false
#define IS_SAID(b, s) ENDED(b, s)
#else
#define IS_FROZEN(b, s, from) (BRANCH(s) == (b) -> joined[STORE(b)] : \
                               (BRANCH(s) != BRANCH(from) && (former[STORE(b)] & BIT(s))))
#define IS_SAID(b, s) (!((s) % 2) && ((applied[STORE(b)] | inbox[b]) & exists & BIT(REJOINING(BRANCH(s)))))
#endif
#endif
#define CLOSED_OF(b, s, from) (IS_SAID(b, s) -> LOG(s) & ~SAVED(s) : (IS_FROZEN(b, s, from) -> LOG(s) : 0))
#define CLOSED(b, from) (CLOSED_OF(b, 0, from) | CLOSED_OF(b, 1, from) | CLOSED_OF(b, 2, from) | CLOSED_OF(b, 3, from))
#define NEWS(b, from) (applied[from] & ~applied[STORE(b)] & ~inbox[b] & ~CLOSED(b, from))

inline take_entry(b, s) {
    s_ = NEWS(b, s);
    do
    :: s_ & BIT(e_) -> break
    :: s_ >> (e_ + 1) -> e_++
    od;
    printf("store %d takes entry %d from store %d\n", STORE(b), e_, s);
    inbox[b] = inbox[b] | BIT(e_);
    e_ = 0; s_ = 0;
    do
    :: e_ < 12 && (inbox[b] & BIT(e_)) && !(deps[e_] & ~applied[STORE(b)]) ->
        inbox[b] = inbox[b] & ~BIT(e_);
        applied[STORE(b)] = applied[STORE(b)] | BIT(e_);
        e_ = 0
    :: e_ < 12 && !((inbox[b] & BIT(e_)) && !(deps[e_] & ~applied[STORE(b)])) -> e_++
    :: e_ == 12 -> break
    od;
    e_ = 0;
    assert(IS_OUT_OF_USE(b) || (!IS_OVERSPENT(b, 0) && !IS_OVERSPENT(b, 1)))  /* no right is spent in two lives */
}

/* A token names entry e. b knows that it is lost, or the present life of its branch has nothing of it. */
#define KNOWS_LOSS(b, e) ((ENDED(b, (e) / 2) && !(SAVED((e) / 2) & BIT(e))) \
                          || (BRANCH((e) / 2) == (b) && (e) / 2 != STORE(b) && joined[STORE(b)] && !HAS(b, e)))
#ifdef BUG_LOSS_TOLD_TOO_SOON
#define KNOWS_ALL_OF(b, s) true
#else
#define KNOWS_ALL_OF(b, s) (!(exists & LOG(s) & ~applied[STORE(b)]))
#endif
#define IS_HOPELESS(b, x, e) (BRANCH((e) / 2) == (x) && (e) / 2 != STORE(x) && joined[STORE(x)] \
                              && link[L(b, x)] == STORE(x) + 1 && (present[STORE(b)] & BIT(STORE(x))) \
                              && KNOWS_ALL_OF(b, STORE(x)) && !(applied[STORE(b)] & LOG((e) / 2)))
#ifdef BUG_LOSS_NOT_TOLD
#define REFUSES(b, e) KNOWS_LOSS(b, e)
#else
#define REFUSES(b, e) (KNOWS_LOSS(b, e) || IS_HOPELESS(b, NEXT(b), e) || IS_HOPELESS(b, LAST(b), e))
#endif
#define IS_SERVED(b)  (joined[STORE(b)] && !IS_OUT_OF_USE(b))

inline look_at_token(b) {
    printf("a token of entry %d at store %d\n", token[b] - 1, STORE(b));
    if :: !HAS(b, token[b] - 1) -> refused = refused | BIT(token[b] - 1) :: else fi;
    token[b] = 0
}

#define IS_UP(b, x) (link[L(b, x)] == STORE(x) + 1)
#define HEARS(b, s) ((ever & BIT(s)) && !(present[STORE(b)] & BIT(s)) && !IS_REFUSED(b, s))
#define IS_HEARD(b, x) (link[L(b, x)] && (present[STORE(b)] & BIT(link[L(b, x)] - 1)))

#if defined(WITHOUT_NOTE) || defined(BUG_GREETING_BELIEVED)
#define MAY_BELIEVE(b, x) true
#else
#define MAY_BELIEVE(b, x) (!link[L(b, x)])              /* else the stream says who is there */
#endif

#define WITH(b, x) \
    :: atomic { !IS_UP(b, x) && !IS_REFUSED(b, STORE(x)) -> connect(b, x) } \
    :: atomic { late && life[x] && MAY_BELIEVE(b, x) && HEARS(b, x * 2) -> late--; hear_of(b, x * 2) } \
    :: atomic { !joined[STORE(b)] && IS_UP(b, x) && IS_HEARD(b, x) && !got[L(b, x)] -> answer_joiner(x, b) } \
    :: atomic { READS(b) && IS_HEARD(b, x) && NEWS(b, link[L(b, x)] - 1) -> take_entry(b, link[L(b, x)] - 1) }

#define MAY_WRITE(b) (!is_calm && writes && b < 2 && IS_SERVED(b) \
                      && (applied[STORE(b)] & LOG(STORE(b))) != LOG(STORE(b)))

proctype Branch(byte me) {
end:do
    :: atomic { MAY_WRITE(me) -> writes--; write_entry(me, !(applied[STORE(me)] & takes & LOGS(me))) }
    WITH(me, NEXT(me))
    WITH(me, LAST(me))
    :: atomic { !joined[STORE(me)] && ALL_ANSWERED(me) && !LACKS(me) -> join(me) }
    :: atomic { token[me] && IS_SERVED(me) && (HAS(me, token[me] - 1) || REFUSES(me, token[me] - 1)) ->
                look_at_token(me) }
    od
}

proctype World() {
    do
    :: atomic { !is_calm && boots && life[0] == 0 -> boots--; boot(0, 1) }
    :: atomic { !is_calm && boots && life[0] == 1 -> boots--; boot(0, 0) }
#if MORTALS > 1
    :: atomic { !is_calm && boots && life[1] == 0 -> boots--; boot(1, 1) }
#else
    :: atomic { !is_calm && boots -> boots--; boot(1, 0) }
#endif
#ifdef TOKENS
    :: atomic { !is_calm && !shown && (exists & 1) -> shown = 1;
                if :: token[0] = 1 :: token[1] = 1 :: token[2] = 1
                   :: exists & 2 -> token[1] = 2 fi }
#endif
    :: atomic { !is_calm ->
                is_calm = 1; boots = 0; writes = 0;     /* the newest stores are started, and left alone */
                if :: life[0] == 0 && (ever & 2) -> boot(0, 1) :: else fi;
                if :: life[1] == 0 && (ever & 8) -> boot(1, 1) :: else fi;
                break }
    od;
    timeout ->                                          /* nothing is left to be done */
    assert(joined[STORE(0)] && joined[STORE(1)] && joined[STORE(2)]);  /* everybody serves in the end */
    assert(applied[STORE(0)] == applied[STORE(1)] && applied[STORE(1)] == applied[STORE(2)]);  /* all have the same */
    assert(!token[0] && !token[1] && !token[2]);        /* nobody waits for what will never come */
    assert(!(refused & applied[STORE(2)]))              /* what was called lost is lost */
}

init {
    atomic {
        joined[0] = 1; joined[2] = 1; joined[4] = 1;
        present[0] = 21; present[2] = 21; present[4] = 21;
        known[0] = 21; known[2] = 21; known[4] = 21;
        link[1] = 3; link[2] = 5; link[3] = 1; link[5] = 5; link[6] = 1; link[7] = 3;
        run Branch(0); run Branch(1); run Branch(2); run World()
    }
}
