/*
 * What can be chosen for one check, each with -DNAME=value. README.md says what each chosen means.
 *
 * One tick of time is longer than any time limit of the store, and as long as the partner's. Durations are ticks.
 */

#ifndef N
#define N 2            /* replicas: 2 or 3 */
#endif
#ifndef FAULTS
#define FAULTS 3       /* faults of all kinds together */
#endif
#ifndef MAXCALLS
#define MAXCALLS 3     /* partner calls */
#endif
#ifndef MAXREQUEST
#define MAXREQUEST 0   /* requests to the store that never arrive */
#endif
#ifndef MAXREPLY
#define MAXREPLY 0     /* replies of the store that never arrive */
#endif
#ifndef MAXLATE
#define MAXLATE 0      /* requests that reach the store after their sender gave up */
#endif
#ifndef MAXCRASH
#define MAXCRASH 0     /* replicas killed; they restart with an empty memory */
#endif
#ifndef MAXLOSS
#define MAXLOSS 0      /* the store loses its data */
#endif
#ifndef MAXFAILOVER
#define MAXFAILOVER 0  /* the store returns to an earlier state */
#endif
#ifndef MAX429
#define MAX429 0
#endif
#ifndef MAXERROR
#define MAXERROR 0     /* 5xx, time-outs */
#endif
#ifndef MAXREVOKE
#define MAXREVOKE 0    /* the partner revokes the token it issued last */
#endif
#ifndef MAXWRONG
#define MAXWRONG 0     /* reports of a valid token */
#endif
#ifndef MAXSTOP
#define MAXSTOP 1      /* leases that run out before the first byte */
#endif
#ifndef MAXAHEAD
#define MAXAHEAD 1     /* refreshes because of the token's age */
#endif
#ifndef LOCAL
#define LOCAL 0        /* calls on a replica's own share while the store is down */
#endif
#ifndef REPORTS
#define REPORTS 0      /* apps report tokens, also unknown ones, which cause a read of the store */
#endif
#ifndef REVOKE
#define REVOKE 0       /* a new token revokes the ones before it */
#endif
#ifndef SAME
#define SAME 0         /* the partner returns the valid token, if there is one */
#endif
#ifndef SKEW
#define SKEW 0         /* how far fences are ahead of the store's clock at the start */
#endif
#ifndef WALL
#define WALL 0         /* how far the clock of replica 0's machine is ahead of the store's */
#endif
#ifndef GAP
#define GAP 0          /* other tasks of a replica may run between the claim's reply and the first byte */
#endif
#ifndef CALM
#define CALM 0         /* the faults end, and recovery is checked */
#endif
#ifndef DEADLINE
#define DEADLINE 12    /* ticks of the calm after which all replicas must have recovered */
#endif

#define LEASE 2        /* limit of a lease */
#define CALL_LIMIT 1   /* the partner's time limit */
#ifndef WINDOW
#define WINDOW 3       /* of the budget, which is two calls */
#endif
#ifndef COOLDOWN
#define COOLDOWN 2     /* after a 429 */
#endif
#ifndef BACKOFF
#define BACKOFF 1      /* after any other failure */
#endif

/* Properties, a bit each: see README.md. */
#define BUDGET 1
#define CALL_IN_COOLDOWN 2
#define LEASE_IN_COOLDOWN 4
#define ONE_LEASE 8
#define STORED_OLDER 16
#define REPORT_LOST 32
#define RECOVERY 64
#define HELD_OLDER 128
#define OUTLIVED_LEASE 256
#define NEEDLESS_CALL 512
#define WAITED_FOR_ITSELF 1024
#define PERMIT_LOST 2048
#define COOLDOWN_LOST 4096
#ifndef CHECK
#define CHECK 8191     /* which of them are checked */
#endif
#define HOLD(property, condition) assert((CHECK & (property)) == 0 || (condition))
