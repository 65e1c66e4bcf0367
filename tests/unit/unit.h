/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The main of a unit test: one suite of CUnit, from a table of names and functions.
 */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <CUnit/Basic.h>

static inline int unit_run_suite(CU_SuiteInfo suite, const CU_TestInfo *tests)
{
    CU_SuiteInfo suites[] = { suite, CU_SUITE_INFO_NULL };
    int status = 1;

    suites[0].pTests = (CU_TestInfo *)tests; /* CUnit only reads it */
    if (CU_initialize_registry() == CUE_SUCCESS && CU_register_suites(suites) == CUE_SUCCESS && CU_basic_run_tests() == CUE_SUCCESS)
        status = CU_get_number_of_failures() != 0;
    CU_cleanup_registry();
    return status;
}

/* `tests` ends with CU_TEST_INFO_NULL. What the process is to exit with: 0, all have passed. */
static inline int unit_run(const char *name, const CU_TestInfo *tests)
{
    return unit_run_suite((CU_SuiteInfo){ .pName = name }, tests);
}

/* With `setup` before and `teardown` behind each test. */
static inline int unit_run_each(const char *name, const CU_TestInfo *tests, CU_SetUpFunc setup, CU_TearDownFunc teardown)
{
    return unit_run_suite((CU_SuiteInfo){ .pName = name, .pSetUpFunc = setup, .pTearDownFunc = teardown }, tests);
}

/* With `start` before the first and `end` behind the last, which answer 0. */
static inline int unit_run_between(const char *name, const CU_TestInfo *tests, CU_InitializeFunc start, CU_CleanupFunc end)
{
    return unit_run_suite((CU_SuiteInfo){ .pName = name, .pInitFunc = start, .pCleanupFunc = end }, tests);
}

#endif
