/* Stands in for a test of what the system it is built for does not have. */
#include "check.h"

int main(void) {
  check_skip(GUST_NOT_HERE);
}
