/* Reflection and phases, z = Lambda (x - 2 <x, u> u), and the gradient: one pass over memory each.
 *
 * A row is the features of one head at one position. Rows are walked in blocks of positions, through the whole batch
 * before the next block, so that phases and sums stay in the nearest caches. No two blocks write to the same place, so
 * threads share them out as they come, and the order of every sum is the same whatever their number.
 *
 * REAL is float or double. Layouts: of PAIRS (x_2j, x_2j+1), turned by phases (c_j, s_j); else of features x_j with
 * phases (c | s) and results (Re | Im) of twice the width.
 */
#include <stdint.h>
#include <string.h>

#define BYTES 32
#define LANES ((int64_t)(BYTES / sizeof(REAL)))
#define INLINE static inline __attribute__((always_inline))

typedef REAL vector __attribute__((vector_size(BYTES)));

typedef struct {
    REAL *data;
    int64_t batch, head, position; /* steps in elements; zero along an axis that is shared */
} rows;

/* Eight bytes a field: rotate.py writes it as an array of integers. */
typedef struct {
    int64_t batch, heads, length, dim;    /* dim: features of x */
    int64_t block, blocks, threads;       /* block: positions of one */
    int64_t pairs, transposed;            /* transposed: positions before heads in memory */
    rows x, phase, unit, result, grad;        /* grad: of the result */
    rows angle_sum;                           /* dim values per row, see product */
    rows unit_sum;                            /* position: the block's number */
} problem;

enum work { ANGLES, TURN, REFLECT, REFLECT_LEARNED }; /* what backward computes beside the sums of angles */

#ifdef __clang__
#define SHUFFLE(v, ...) __builtin_shufflevector(v, v, __VA_ARGS__)
#else
#define SHUFFLE(v, ...) __builtin_shuffle(v, (indices){__VA_ARGS__})
#endif
#ifdef DOUBLE
typedef int64_t indices __attribute__((vector_size(BYTES)));
#define EVEN(v) SHUFFLE(v, 0, 0, 2, 2)
#define ODD(v) SHUFFLE(v, 1, 1, 3, 3)
#define SWAP(v) SHUFFLE(v, 1, 0, 3, 2)
static const vector SIGN = {-1, 1, -1, 1};
#else
typedef int32_t indices __attribute__((vector_size(BYTES)));
#define EVEN(v) SHUFFLE(v, 0, 0, 2, 2, 4, 4, 6, 6)
#define ODD(v) SHUFFLE(v, 1, 1, 3, 3, 5, 5, 7, 7)
#define SWAP(v) SHUFFLE(v, 1, 0, 3, 2, 5, 4, 7, 6)
static const vector SIGN = {-1, 1, -1, 1, -1, 1, -1, 1};
#endif

/* count is the constant LANES but for a row's last features, so that only those take the slow copy. */
INLINE vector load(const REAL *from, int64_t count) {
    vector v = {0};
    memcpy(&v, from, count * sizeof(REAL));
    return v;
}

INLINE void store(REAL *to, vector v, int64_t count) { memcpy(to, &v, count * sizeof(REAL)); }

/* The statements for every vector of a row: its first feature j and its number of features, count. */
#define FOR_VECTORS(dim, ...)                       \
    do {                                            \
        int64_t j = 0;                              \
        for (; j + LANES <= (dim); j += LANES) {    \
            const int64_t count = LANES;            \
            __VA_ARGS__                             \
        }                                           \
        if (j < (dim)) {                            \
            const int64_t count = (dim) - j;        \
            __VA_ARGS__                             \
        }                                           \
    } while (0)

INLINE REAL total(vector v) {
    REAL sum[LANES];
    memcpy(sum, &v, sizeof v);
    for (int64_t width = LANES / 2; width; width /= 2)
        for (int64_t i = 0; i < width; i++) sum[i] += sum[i + width];
    return sum[0];
}

INLINE REAL *at(const rows *r, int64_t b, int64_t h, int64_t n) {
    return r->data + b * r->batch + h * r->head + n * r->position;
}

/* Pairs times (c + i s). */
INLINE vector turned(vector y, vector phase) { return y * EVEN(phase) + SWAP(y) * (ODD(phase) * SIGN); }

/* Pairs times (c - i s). */
INLINE vector turned_back(vector z, vector phase) { return z * EVEN(phase) - SWAP(z) * (ODD(phase) * SIGN); }

INLINE void turn_row(const problem *p, int64_t b, int64_t h, int64_t n, const int pairs, const int reflects) {
    const int64_t dim = p->dim;
    const REAL *x = at(&p->x, b, h, n), *phase = at(&p->phase, b, h, n), *u = at(&p->unit, b, h, n);
    REAL *z = at(&p->result, b, h, n);
    vector twice = {0};
    if (reflects) {
        FOR_VECTORS(dim, twice += load(x + j, count) * load(u + j, count););
        twice = (vector){0} + 2 * total(twice);
    }
    FOR_VECTORS(dim, {
        vector y = load(x + j, count);
        if (reflects) y -= twice * load(u + j, count);
        if (pairs) {
            store(z + j, turned(y, load(phase + j, count)), count);
        } else {
            store(z + j, y * load(phase + j, count), count);
            store(z + dim + j, y * load(phase + dim + j, count), count);
        }
    });
}

/* From z and dz alone: y = Lambda^H z, dy = Lambda^H dz, dx = P dy. With a = <y, u>, b = <dy, u>:
 * an angle's gradient is Im(conj(z) dz), for pairs as the difference of two neighboring sums;
 * u's gradient is the sum of 2 (a dy - b y + 2 a b u). */
INLINE void turn_back_row(const problem *p, int64_t block, int64_t b, int64_t h, int64_t n, const int pairs,
                          const int sums_angles, const enum work work) {
    const int64_t dim = p->dim;
    const REAL *z = at(&p->result, b, h, n), *dz = at(&p->grad, b, h, n);
    const REAL *phase = at(&p->phase, b, h, n), *u = at(&p->unit, b, h, n);
    REAL *dx = at(&p->x, b, h, n), *angle_sum = at(&p->angle_sum, b, h, n);
    REAL *unit_sum = at(&p->unit_sum, b, h, block);
    REAL kept[work == REFLECT_LEARNED ? dim : 1];
    vector a2 = {0}, b2 = {0};
    FOR_VECTORS(dim, {
        vector y, dy, product;
        if (pairs) {
            const vector turn = load(phase + j, count), one = load(z + j, count), grad = load(dz + j, count);
            y = turned_back(one, turn);
            dy = turned_back(grad, turn);
            product = one * SWAP(grad);
        } else {
            const vector cosine = load(phase + j, count), sine = load(phase + dim + j, count);
            const vector real = load(z + j, count), imaginary = load(z + dim + j, count);
            const vector grad_real = load(dz + j, count), grad_imaginary = load(dz + dim + j, count);
            y = real * cosine + imaginary * sine;
            dy = grad_real * cosine + grad_imaginary * sine;
            product = real * grad_imaginary - imaginary * grad_real;
        }
        if (sums_angles) store(angle_sum + j, load(angle_sum + j, count) + product, count);
        if (work >= TURN) store(dx + j, dy, count);
        if (work >= REFLECT) b2 += dy * load(u + j, count);
        if (work == REFLECT_LEARNED) {
            a2 += y * load(u + j, count);
            store(kept + j, y, count);
        }
    });
    if (work < REFLECT) return;
    b2 = (vector){0} + 2 * total(b2);
    if (work == REFLECT_LEARNED) a2 = (vector){0} + 2 * total(a2);
    FOR_VECTORS(dim, {
        const vector dy = load(dx + j, count), unit = load(u + j, count);
        if (work == REFLECT_LEARNED) {
            const vector y = load(kept + j, count);
            store(unit_sum + j, load(unit_sum + j, count) + a2 * dy - b2 * y + a2 * b2 * unit, count);
        }
        store(dx + j, dy - b2 * unit, count);
    });
}

/* Every row of a block, in memory's order. */
#define FOR_ROWS(p, number, statement)                                                      \
    do {                                                                                    \
        const int64_t from = (number) * p->block, left = p->length - from;                  \
        const int64_t positions = left < p->block ? left : p->block;                        \
        const int64_t outer = p->transposed ? positions : p->heads;                         \
        const int64_t inner = p->transposed ? p->heads : positions;                         \
        for (int64_t b = 0; b < p->batch; b++)                                              \
            for (int64_t i = 0; i < outer; i++)                                             \
                for (int64_t j = 0; j < inner; j++) {                                       \
                    const int64_t h = p->transposed ? j : i, n = from + (p->transposed ? i : j); \
                    statement;                                                              \
                }                                                                           \
    } while (0)

INLINE void turn_rows(const problem *p, int64_t block, const int pairs, const int reflects) {
    FOR_ROWS(p, block, turn_row(p, b, h, n, pairs, reflects));
}

static void turn_block(const problem *p, int64_t block) {
    const int reflects = p->unit.data != 0;
    if (p->pairs) reflects ? turn_rows(p, block, 1, 1) : turn_rows(p, block, 1, 0);
    else reflects ? turn_rows(p, block, 0, 1) : turn_rows(p, block, 0, 0);
}

INLINE void turn_back_rows(const problem *p, int64_t block, const int pairs, const int sums_angles,
                           const enum work work) {
    FOR_ROWS(p, block, turn_back_row(p, block, b, h, n, pairs, sums_angles, work));
}

INLINE void turn_back_work(const problem *p, int64_t block, const enum work work) {
    const int sums_angles = p->angle_sum.data != 0;
    if (p->pairs) sums_angles ? turn_back_rows(p, block, 1, 1, work) : turn_back_rows(p, block, 1, 0, work);
    else sums_angles ? turn_back_rows(p, block, 0, 1, work) : turn_back_rows(p, block, 0, 0, work);
}

static void turn_back_block(const problem *p, int64_t block) {
    if (!p->x.data) turn_back_work(p, block, ANGLES);
    else if (!p->unit.data) turn_back_work(p, block, TURN);
    else if (!p->unit_sum.data) turn_back_work(p, block, REFLECT);
    else turn_back_work(p, block, REFLECT_LEARNED);
}

/* PyTorch's threads, which wait for work in the OpenMP that it has loaded; threads of another would fight with them. */
#ifdef __linux__
extern void GOMP_parallel(void (*)(void *), void *, unsigned, unsigned) __attribute__((weak));
#else
static void (*const GOMP_parallel)(void (*)(void *), void *, unsigned, unsigned) = 0;
#endif

typedef struct {
    const problem *p;
    void (*run)(const problem *, int64_t);
    int64_t next;
} task;

static void take_blocks(void *shared) {
    task *t = shared;
    int64_t block;
    while ((block = __atomic_fetch_add(&t->next, 1, __ATOMIC_RELAXED)) < t->p->blocks) t->run(t->p, block);
}

static void share_out(task t) {
    if (t.p->threads > 1 && GOMP_parallel) GOMP_parallel(take_blocks, &t, t.p->threads, 0);
    else take_blocks(&t);
}

/* z from x; x and z may be the same where there are pairs and no u. */
void turn(const problem *p) { share_out((task){p, turn_block, 0}); }

/* dx into x, and the sums that have data, from z and dz. */
void rotate_backward(const problem *p) { share_out((task){p, turn_back_block, 0}); }
