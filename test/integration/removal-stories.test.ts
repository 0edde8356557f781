/**
 * The stories of docs/removals.md, played on real OpenLDAP servers: what an administrator sees, does, and how often. The
 * story of twelve servers behind one name is played in test/unit/trusted-view.test.ts, because it needs twelve addresses.
 */
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { openDirectory } from '../../lib/ldap/directory.ts';
import { approveRun } from '../../lib/administration/runs.ts';
import type { Settings } from '../../lib/settings/settings.ts';
import type { Run } from '../../lib/sync/run.ts';
import {
  type Colleague,
  colleagues,
  type DepartmentSlapd,
  dnOf,
  PASSWORD,
  PEOPLE,
  READER,
  startDepartmentSlapd,
} from '../support/department-slapd.ts';
import { type House, startHouse } from '../support/house.ts';
import { aSettings } from '../support/people.ts';
