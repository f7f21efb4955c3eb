/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drain.h - for processes of the family that live on without their program: drain.c's child, pump.c's process
 */
#ifndef PRELOAD_DRAIN_H
#define PRELOAD_DRAIN_H

/* Blocks signals, leaves session and folder, and closes every descriptor but those of Shunt and guarded ones.
 */
void drain_let_go(void);

/* Drives on until everything sent is delivered, a minute at most; then leaves the family and ends the
 * process. */
_Noreturn void drain_and_exit(void);

#endif
