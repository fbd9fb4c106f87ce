import { taskSuite } from './task-suite.ts';

taskSuite('sandbox');
