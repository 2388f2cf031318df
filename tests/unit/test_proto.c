/* Protobuf fields, read and written. */
#include "support.h"

#include <string.h>

#include "base/mem.h"
#include "model/proto.h"

static void what_was_written_is_read_back(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 127, 128, 300, 1u << 31, UINT64_MAX};
    lk_buf b;
    lk_err err;
    lk_pb_field f;
    lk_buf_init(&b, 0);
    for (size_t i = 0; i < LK_ARRAY_LEN(values); i++)
        lk_pb_put_varint(&b, (uint32_t)i + 1, values[i]);
    lk_pb_put_str(&b, 1000, LK_STR("name"));
    lk_pb_put_float(&b, 536870911, -1.5f);
    test_ok(lk_buf_check(&b, &err), &err);
    lk_blob in = {(const unsigned char *)b.p, b.n};
    for (size_t i = 0; i < LK_ARRAY_LEN(values); i++) {
        assert_true(lk_pb_next(&in, &f));
        assert_int_equal(f.number, i + 1);
        assert_int_equal(f.wire, LK_PB_VARINT);
        assert_true(f.value == values[i]);
    }
    assert_true(lk_pb_next(&in, &f));
    assert_int_equal(f.number, 1000);
    assert_int_equal(f.bytes.n, 4);
    assert_memory_equal(f.bytes.p, "name", 4);
    assert_int_equal(f.whole.n, 4 + 1 + 2);
    assert_true(lk_pb_next(&in, &f));
    assert_int_equal(f.wire, LK_PB_FIXED32);
    assert_memory_equal(f.bytes.p, "\x00\x00\xc0\xbf", 4);
    assert_int_equal(in.n, 0);
    assert_false(lk_pb_next(&in, &f));
    lk_buf_release(&b);
}

static void bytes_that_are_no_field_are_left_where_they_stand(void **state)
{
    (void)state;
    static const unsigned char cut_length[] = {0x0a, 5, 'a'}, cut_fixed[] = {0x0d, 1, 2, 3},
                               endless[] = {8,    0xff, 0xff, 0xff, 0xff, 0xff,
                                            0xff, 0xff, 0xff, 0xff, 0xff, 1},
                               wire_seven[] = {0x0f, 0}, number_zero[] = {0x02, 0},
                               huge[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff,
                                         0xff, 0xff, 0xff, 0xff, 1};
    const lk_blob bad[] = {{cut_length, sizeof cut_length},   {cut_fixed, sizeof cut_fixed},
                           {endless, sizeof endless},         {wire_seven, sizeof wire_seven},
                           {number_zero, sizeof number_zero}, {huge, sizeof huge}};
    for (size_t i = 0; i < LK_ARRAY_LEN(bad); i++) {
        lk_blob in = bad[i];
        lk_pb_field f;
        if (lk_pb_next(&in, &f))
            fail_msg("bytes %zu were read as field %u", i, f.number);
        assert_int_equal(in.n, bad[i].n);
        assert_ptr_equal(in.p, bad[i].p);
    }
}

static void a_message_of_unknown_length_is_framed(void **state)
{
    (void)state;
    enum { LONG = 300 }; /* a length of two bytes by itself */
    char text[LONG];
    lk_buf b;
    lk_err err;
    lk_pb_field f;
    lk_buf_init(&b, 0);
    memset(text, 'x', sizeof text);
    size_t begun = lk_pb_begin(&b, 7);
    lk_pb_put_bytes(&b, 1, text, sizeof text);
    lk_pb_end(&b, begun);
    lk_pb_put_varint(&b, 8, 1);
    test_ok(lk_buf_check(&b, &err), &err);
    lk_blob in = {(const unsigned char *)b.p, b.n};
    assert_true(lk_pb_next(&in, &f));
    assert_int_equal(f.number, 7);
    lk_blob inner = f.bytes;
    assert_true(lk_pb_next(&inner, &f));
    assert_int_equal(f.bytes.n, LONG);
    assert_int_equal(inner.n, 0);
    assert_true(lk_pb_next(&in, &f));
    assert_int_equal(f.number, 8);
    assert_int_equal(in.n, 0);
    lk_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_back),
        cmocka_unit_test(a_message_of_unknown_length_is_framed),
        cmocka_unit_test(bytes_that_are_no_field_are_left_where_they_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
