/* SPDX-License-Identifier: BSD-3-Clause */
/* launcher_stub.c - stands for libshunt.so in test_launcher.sh, and, linked statically, for a program without
 * ld.so */
int main(void);

int main(void)
{
	return 0;
}
