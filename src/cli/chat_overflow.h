/* Room in the context: what a turn needs, and what would have to go. */
#ifndef GUST_CLI_CHAT_OVERFLOW_H
#define GUST_CLI_CHAT_OVERFLOW_H

#include "chat_state.h"

typedef struct chat_overflow_plan {
  size_t capacity, reserve; /* positions; those kept for the answer */
  size_t before;            /* tokens of the conversation as it is */
  size_t turns;             /* so many of the oldest have to go; 0: it fits */
  size_t after;             /* tokens without them */
} chat_overflow_plan;

/* Positions kept for an answer: the checkpoint's limit on new tokens, but at most a
 * quarter of the context, which also stands where there is no limit. */
size_t chat_overflow_reserve(const chat_state *chat);

/* What the conversation, which ends with the user's new message of `before` tokens
 * in all, takes to leave the reserve free. The fewest of the oldest turns go that
 * make it fit; all before the new one when even that leaves less. The system
 * message and the new one stay. */
gust_status chat_overflow_make_plan(chat_overflow_plan *plan, const chat_state *chat, size_t before,
                                    gust_error *err);

/* Says what the plan means and lets the user or the policy decide; *go says whether
 * the turn goes on, the turns that have to go having been moved to `dropped`, an empty list. */
gust_status chat_overflow_decide(chat_state *chat, const chat_overflow_plan *plan,
                                 chat_messages *dropped, bool *go, gust_error *err);

#endif
