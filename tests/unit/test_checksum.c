/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_checksum.c - the Internet checksum against the definition, at every length and every split
 */
#include <criterion/criterion.h>
#include <rte_mbuf.h>

#include "stack/checksum.h"
#include "tests/kit/kit_eal.h"
#include "tests/kit/seg.h"

static void fill(uint8_t *p, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 131 + (i >> 3) + 0x55);
}

/* kit_checksum() shares no code with ours and answers in host order, complemented. */
static uint16_t reference(const void *p, unsigned len)
{
	return htons((uint16_t)~kit_checksum(p, len, 0));
}

Test(checksum, bytes_agree_with_the_definition_at_every_length_and_alignment)
{
	uint8_t data[300];

	fill(data, sizeof(data));
	for (unsigned start = 0; start < 8; start++)
		for (unsigned len = 0; len + start <= 256; len++)
			cr_assert_eq(csum_fold(csum_bytes(data + start, len)), reference(data + start, len),
				     "start %u len %u", start, len);
}

Test(checksum, all_ones_do_not_lose_carries)
{
	static uint8_t data[65535];

	memset(data, 0xff, sizeof(data));
	cr_assert_eq(csum_fold(csum_bytes(data, sizeof(data))), reference(data, sizeof(data)));
}

Test(checksum, chain_agrees_at_every_pair_of_splits)
{
	struct rte_mempool *pool = kit_pool_new(64);
	uint8_t data[64];

	fill(data, sizeof(data));
	for (unsigned a = 0; a <= sizeof(data); a++) {
		for (unsigned b = a; b <= sizeof(data); b++) {
			unsigned cuts[4] = {0, a, b, sizeof(data)};
			struct rte_mbuf *head = NULL;

			for (unsigned i = 0; i < 3; i++) {
				struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

				memcpy(rte_pktmbuf_append(m, (uint16_t)(cuts[i + 1] - cuts[i])),
				       data + cuts[i], cuts[i + 1] - cuts[i]);
				if (head)
					rte_pktmbuf_chain(head, m);
				else
					head = m;
			}
			for (unsigned off = 0; off < 4; off++)
				cr_assert_eq(csum_fold(csum_chain(head, off, sizeof(data) - off - 1)),
					     reference(data + off, sizeof(data) - off - 1), "%u %u %u", a, b,
					     off);
			rte_pktmbuf_free(head);
		}
	}
}

Test(checksum, header_of_20_bytes)
{
	uint8_t hdr[20];

	fill(hdr, sizeof(hdr));
	cr_assert_eq(csum_ip4_header20(hdr), reference(hdr, sizeof(hdr)));
}
