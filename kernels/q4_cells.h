/* Nearest level by table. Between neighbouring levels the border is a half step,
 * so the half step a number falls into, h = floor(2 (number + 64)), decides, and
 * no two borders share a cell of eight half steps: in cell h >> 3 the level is
 * LOW below half step BORDER and HIGH from there on. From GUST_Q4_LEVELS;
 * test_weight_kernels compares all 256 half steps with them. */
#ifndef GUST_Q4_CELLS_H
#define GUST_Q4_CELLS_H

#define GUST_Q4_CELLS 32
#define GUST_Q4_LAST_HALF_STEP 255.0f

#define GUST_Q4_CELL_LOW                                                                           \
  {                                                                                                \
    -64, -64, -52, -52, -52, -42, -42, -33, -33, -25, -25, -18, -18, -11, -5, -5, 0, 6, 6, 12, 19, \
        19, 26, 26, 34, 34, 45, 45, 45, 57, 57, 57                                                 \
  }
#define GUST_Q4_CELL_HIGH                                                                          \
  {                                                                                                \
    -64, -52, -52, -52, -42, -42, -33, -33, -25, -25, -18, -18, -11, -11, -5, 0, 6, 6, 12, 19, 19, \
        26, 26, 34, 34, 45, 45, 45, 57, 57, 57, 57                                                 \
  }
/* Where a cell has no border, LOW and HIGH are the same. */
#define GUST_Q4_CELL_BORDER                                                                    \
  {                                                                                            \
    0, 12, 16, 24, 34, 40, 53, 56, 70, 72, 85, 88, 99, 104, 112, 123, 134, 136, 146, 159, 160, \
        173, 176, 188, 192, 207, 208, 216, 230, 232, 240, 248                                  \
  }

/* The way back: no two levels are within four of each other, so (level + 64) >> 2
 * finds the code of a level. */
#define GUST_Q4_CODE_OF_LEVEL                                                                      \
  {                                                                                                \
    0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 7, 0, 8, 9, 0, 10, 11, 0, 12, 0, 13, 0, 0, 14, 0, 0, \
        15, 0                                                                                      \
  }

#endif
