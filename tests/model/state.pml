/*
 * What the store has, what a replica remembers and does, and what is true whatever they have.
 *
 * Ids, nonces, epochs and fences are small numbers, 0 for none. The fences of leases are even, those of local calls odd.
 */

/* outcomes of the scripts */
#define GRANTED 1
#define ADOPT 2
#define HELD 3
#define COOLING_DOWN 4
#define OVER_BUDGET 5
#define STORED 6
#define OLDER 7
#define CURRENT 8
#define CONFIRMED 9
#define LATE 10

/* kinds of pauses */
#define THROTTLED 1
#define FAILED 2

/* answers of the partner that are no token */
#define ANSWER_429 100
#define ANSWER_ERROR 101

/* where a replica's task is */
#define IDLE 0
#define TOP 1            /* the top of the refresh loop */
#define CLAIMING 3      /* the claim is built, and waits for the exchange before it */
#define CLAIM_SEED 4     /* the claim is answered; the store is seeded first */
#define READY 5          /* granted; nothing sent */
#define CALLING 6
#define COMMITTING 7
#define COMMIT_SEED 8
#define FAILING 9        /* a failure, or the return of a lease, is to be stored */
#define FAIL_SEED 10
#define LOOK_SEED 11

typedef Store {
  byte epoch; bool lost; byte quarantine;
  byte fence; byte failed_nonce;
  byte lease_nonce; byte lease_fence; byte lease_left;
  byte pause_kind; byte pause_left; byte pause_fence;
  byte grant; byte grant_left; byte grant2; byte grant2_left;   /* the two newest permits: fence, left of the window */
  byte token_fence; byte token_id;
  byte reported; byte reported_fence; byte confirmed; byte confirmed_fence
}

typedef Memory {
  byte held_fence; byte held_id;        /* the token that is vended */
  byte epoch; byte fence; byte token_fence; byte token_id; byte lease_left;
  byte pause_kind; byte pause_left; byte pause_fence;
  byte grant; byte grant_left; byte grant2; byte grant2_left;
  byte reported; byte reported_fence; byte confirmed; byte confirmed_fence;
  bool unsaved; bool up;
  byte unanswered; byte unanswered_known
}

typedef Call {
  byte nonce; byte fence; byte left;    /* the lease as it was granted */
  byte age;                             /* ticks since the claim was sent */
  byte known;                           /* fence of the token held when it was claimed */
  bool leased; byte answer; byte sent;  /* ticks since the first byte */
  byte kind;                            /* of the failure; 0: given back unsent */
  byte granted_ago
}

typedef Claim { byte known; byte fence; byte epoch; byte outcome }

typedef Delayed { byte operation; byte nonce; byte fence; byte id; byte kind; byte epoch; byte known }

Store S;
Memory M[N];
Call C[N];
Claim A[N];
byte at[N];            /* where the task is */
byte reporting[N];     /* a report: 0 none, 1 seeds after its reply, 2 asks again, 3 seeds after a look */
byte report_of[N];    /* the id that is reported */
bool exchanging[N];    /* one exchange with the store at a time */
byte wanted[N];        /* the fence beyond which the refresh wants a token */
bool waited[N];        /* the refresh has waited for the store once */
#if LOCAL
byte share[N];         /* what is left of the window of the replica's own permit */
#endif
#if MAXFAILOVER
Store backup;
bool backed_up;
#endif
#if MAXLATE
Delayed D;
Memory offered;        /* what a delayed seed offers */
#endif

byte clock;            /* the store's clock in fences: it runs on by one of either kind at each draw */
byte epochs, ids, calls, faults;
byte valid;            /* ids the partner accepts, a bit each */
byte newest;           /* the id issued last */

byte stops, lost_requests, lost_replies, delays, crashes, losses, failovers, throttles, errors, revocations, wrong_reports;
byte refreshes_ahead;

/* The true state, independent of the store. */
byte true_lease, true_lease_left, true_lease_age, true_lease_token;   /* the last lease: nonce, left, age, token */
bool lost_lease;                        /* a failover may have lost it */
byte true_cooldown;                     /* left of the cool-down that was stored since the last loss of data */
byte true_permit, true_permit2;         /* left of the window of the two newest grants since the store last lost data */
byte call_window[MAXCALLS];             /* left of the window of each call on a lease */
byte read_cooldown[N];                  /* left of the cool-down that this replica has read */
byte true_reports;                      /* ids whose report the store has taken since it last lost data, a bit each */

#if CALM
bool calm;
byte calm_ticks;
bool looked[N], slept[N], refreshed[N]; /* in this tick of the calm */
#define IS_CALM calm
#define MAY_LOOK(r) (!calm || !looked[r])
#define MAY_REFRESH(r) (!refreshed[r])
#define MAY_GO_ON(r) (!calm || !slept[r])
#else
#define IS_CALM false
#define MAY_LOOK(r) true
#define MAY_REFRESH(r) true
#define MAY_GO_ON(r) true
#endif

#define FAULT(count, most) (!IS_CALM && faults < FAULTS && count < most)
#define BIT(id) (1 << (id))
#define VALID(id) ((id) != 0 && (valid & BIT(id)) != 0)
#define RAISE(x, y) if :: (y) > x -> x = y :: else fi
#define EVEN_FROM(x) ((x) + ((x) & 1))
#define ODD_FROM(x) ((x) + 1 - ((x) & 1))
#if N == 2
#define ALL(p) (p(0) && p(1))
#define ANY(r) if :: r = 0 :: r = 1 fi
#else
#define ALL(p) (p(0) && p(1) && p(2))
#define ANY(r) if :: r = 0 :: r = 1 :: r = 2 fi
#endif

/* Used within one step only. */
hidden byte outcome, chosen, i, n, length;


/* Printed by `pan -r` alone, for story.py. */
#define PRINT_STEP(r, what) printf("@%d ", r); printf(what); printf(" -> %d", outcome); \
  printf(" | store epoch=%d lost=%d quarantine=%d fence=%d failed=%d lease=n%d,f%d,left%d pause=k%d,left%d,f%d", \
    S.epoch, S.lost, S.quarantine, S.fence, S.failed_nonce, S.lease_nonce, S.lease_fence, S.lease_left, S.pause_kind, S.pause_left, S.pause_fence); \
  printf(" grants=f%d,left%d;f%d,left%d token=f%d,id%d reported=id%d,f%d confirmed=id%d,f%d", S.grant, S.grant_left, S.grant2, \
    S.grant2_left, S.token_fence, S.token_id, S.reported, S.reported_fence, S.confirmed, S.confirmed_fence); \
  printf(" | memory held=f%d,id%d epoch=%d fence=%d token=f%d,id%d lease_left=%d pause=k%d,left%d,f%d", \
    M[r].held_fence, M[r].held_id, M[r].epoch, M[r].fence, M[r].token_fence, M[r].token_id, M[r].lease_left, M[r].pause_kind, M[r].pause_left, M[r].pause_fence); \
  printf(" grants=f%d,left%d;f%d,left%d reported=id%d,f%d confirmed=id%d,f%d unsaved=%d unanswered=n%d read_cooldown=%d at=%d", M[r].grant, \
    M[r].grant_left, M[r].grant2, M[r].grant2_left, M[r].reported, M[r].reported_fence, M[r].confirmed, M[r].confirmed_fence, \
    M[r].unsaved, M[r].unanswered, read_cooldown[r], at[r]); \
  printf(" | call nonce=%d fence=%d left=%d age=%d kind=%d answer=%d | world clock=%d valid=%d calls=%d\n", \
    C[r].nonce, C[r].fence, C[r].left, C[r].age, C[r].kind, C[r].answer, clock, valid, calls)
