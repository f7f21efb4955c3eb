/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * telemetry.c - who answers (telemetry.h)
 *
 * A leaving process wakes one that sleeps on the device, so that even an idle family notices. After a SIGKILL
 * nobody does that: then the next packet or timer brings the successor.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "driver/driver.h"
#include "fd_guard.h"
#include "inside.h"
#include "log.h"
#include "telemetry.h"

static const struct driver_telemetry how = {.keep_fd = fd_guard_high, .drop_fd = fd_unguard};

static int serve(void)
{
	int err;

	inside_enter();
	err = driver_telemetry_start(&how);
	inside_leave();
	return err;
}

void telemetry_start(struct driver_port *port)
{
	int err;

	if (!config_get()->telemetry)
		return;
	telemetry_commands(port);
	err = serve();
	if (err)
		log_debug("telemetry is off: no folder for its socket (%s)", strerror(-err));
	else
		atomic_store(&domain->telemetry_pid, member_pid());
}

void telemetry_take_over_slow(void)
{
	int vacant = TELEMETRY_VACANT, saved = errno;

	if (!member_is_me() || !atomic_compare_exchange_strong(&domain->telemetry_pid, &vacant, member_pid()))
		return;
	if (serve() < 0)
		atomic_store(&domain->telemetry_pid, TELEMETRY_OFF);
	errno = saved;
}

void telemetry_left(int pid)
{
	bool alone = atomic_load(&domain->n_members) <= 1;

	if (!atomic_compare_exchange_strong(&domain->telemetry_pid, &pid, TELEMETRY_VACANT) && !alone)
		return;
	if (alone) {
		driver_telemetry_unlink();
		return;
	}
	for (unsigned i = 0; i < inst_count(); i++) {
		uint32_t driver = atomic_load(&inst_get(i)->driver_slot);

		if (driver != 0 && atomic_load(&slot_at(driver - 1)->pid) != pid)
			slot_wake(driver - 1);
	}
	slot_kick();
}
