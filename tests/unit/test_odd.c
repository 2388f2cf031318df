/* Every odd file of the test material gets the outcome that its manifest asks for: decoded, or
 * refused with a code and a sentence; never a crash, a hang or more memory than is stated. */
#include "support.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "image/image.h"

/* Sanitizers need memory of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MAX_RSS_KIB LONG_MAX
#else
#define MAX_RSS_KIB (512l * 1024)
#endif
#define MAX_SECONDS 20.0

typedef struct odd {
    char *name, *expect;
} odd;

/* Where this program answers otherwise than the manifest, and why. */
static const struct {
    const char *name;
    lk_code code;
} otherwise[] = {
    /* It lacks its end, and what is cut is refused here. */
    {"variants/google_wuffs__peacock.default.truncated.jpeg", LK_E_TRUNCATED},
    /* 13 x 169 pixels; too high only when all frames are laid under one another. */
    {"bombs/lovell_sharp__big-height.webp", LK_OK},
    /* The first frame, which is all that is read, decodes. */
    {"truncated-corrupt/lovell_sharp__Crash_test.gif", LK_OK},
};

/* A file's outcome against what the manifest expects; says so when they differ. */
static bool fits(const odd *o, lk_code code)
{
    const char *e = o->expect, *base = strrchr(o->name, '/');
    bool decoded = code == LK_OK;
    /* A file that cannot be read in principle by the libraries of the distribution. */
    bool unsupported = code == LK_E_UNSUPPORTED;
    base = base ? base + 1 : o->name;
    for (size_t i = 0; i < LK_ARRAY_LEN(otherwise); i++)
        if (strcmp(o->name, otherwise[i].name) == 0)
            return code == otherwise[i].code;
    if (strcmp(e, "decode") == 0 || strcmp(e, "decode-first-frame") == 0 ||
        strcmp(e, "same-after-rotation") == 0 || strcmp(e, "reference") == 0)
        return decoded || unsupported;
    if (strncmp(e, "x*=reject", 9) == 0) { /* after "repository__" */
        const char *file = strstr(base, "__");
        return (file && file[2] == 'x') ? !decoded : decoded;
    }
    if (strcmp(e, "reject-by-limit") == 0)
        return !decoded;
    if (strcmp(e, "reject-no-crash") == 0)
        return !decoded;
    return true; /* no-crash, decode-or-unsupported, reject-or-…: any honest answer */
}

static size_t read_manifest(char **ret_text, odd *list, size_t max)
{
    char path[TEST_PATH];
    unsigned char *p = NULL;
    size_t len = 0, n = 0;
    lk_err err;
    test_shared("assets/odd/MANIFEST.tsv", path);
    test_ok(lk_os_read_file(path, 0, &p, &len, &err), &err);
    *ret_text = (char *)p;
    char *save = NULL, *line = strtok_r((char *)p, "\n", &save); /* the heading */
    while ((line = strtok_r(NULL, "\n", &save)) && n < max) {
        char *tab = strchr(line, '\t'), *last = strrchr(line, '\t');
        if (!tab || !last)
            continue;
        *tab = '\0';
        list[n++] = (odd){line, last + 1};
    }
    return n;
}

static lk_code decode_file(const char *name, lk_err *err)
{
    char below[TEST_PATH], path[TEST_PATH];
    unsigned char *p = NULL;
    size_t n = 0;
    lk_picture pic;
    test_path("assets/odd", name, below);
    test_shared(below, path);
    lk_code code = lk_os_read_file(path, 0, &p, &n, err);
    if (!code)
        code = lk_picture_decode((lk_blob){p, n}, NULL, true, &pic, err);
    if (!code)
        lk_picture_release(&pic);
    lk_free(p);
    return code;
}

/* In a child, so that its peak of memory is its own and a crash is seen. Prints what did not fit.
 */
static int walk(const odd *list, size_t n)
{
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
        lk_err err = {0};
        uint64_t t0 = lk_now_ns();
        lk_code code = decode_file(list[i].name, &err);
        double seconds = (double)(lk_now_ns() - t0) / 1e9;
        bool silent = code != LK_OK && !err.text[0];
        if (!fits(&list[i], code) || silent || seconds > MAX_SECONDS) {
            fprintf(stderr, "# %s: %s (%s) in %.1f s, expected %s\n", list[i].name,
                    lk_code_word(code), err.text, seconds, list[i].expect);
            wrong++;
        }
    }
    return wrong;
}

/* 0: every file as expected and within memory. */
static int walk_within_memory(const odd *list, size_t n)
{
    struct rusage use;
    lk_err err;
    int wrong = lk_image_start(&err) ? 1 : walk(list, n);
    getrusage(RUSAGE_SELF, &use);
    fprintf(stderr, "# peak of memory over %zu files: %ld MiB\n", n, use.ru_maxrss / 1024);
    return wrong ? 1 : use.ru_maxrss > MAX_RSS_KIB ? 2 : 0;
}

static void every_odd_file_has_its_outcome(void **state)
{
    (void)state;
    static odd list[1000];
    char *text = NULL;
    int status = 0;
    size_t n = read_manifest(&text, list, LK_ARRAY_LEN(list));
    assert_true(n > 300);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(walk_within_memory(list, n));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    lk_free(text);
}

static void bombs_are_refused_from_their_header(void **state)
{
    (void)state;
    static const char *const bombs[] = {
        "bombs/lovell_sharp__giant-image.jpg",
        "bombs/lovell_sharp__65536-uint32-limit.png",
        "bombs/python-pillow_Pillow__decompression_bomb_extents.gif",
    };
    lk_err err;
    test_ok(lk_image_start(&err), &err);
    for (size_t i = 0; i < LK_ARRAY_LEN(bombs); i++) {
        uint64_t t0 = lk_now_ns();
        lk_code code = decode_file(bombs[i], &err);
        double ms = (double)(lk_now_ns() - t0) / 1e6;
        if (code == LK_OK || ms > 1000)
            fail_msg("%s: %s in %.0f ms", bombs[i], lk_code_word(code), ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_odd_file_has_its_outcome),
        cmocka_unit_test(bombs_are_refused_from_their_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
