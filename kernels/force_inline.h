/* For functions whose arguments are constants wherever they are called, so that
 * each call becomes a kernel of its own. */
#ifndef GUST_FORCE_INLINE_H
#define GUST_FORCE_INLINE_H

#if defined(__GNUC__)
#define GUST_INLINE inline __attribute__((always_inline))
#else
#define GUST_INLINE inline
#endif

#endif
