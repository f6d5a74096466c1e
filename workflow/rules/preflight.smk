# Before the first job of a real run: what would fail hours later. Not of a dry run, and not inside the jobs.


onstart:
    from mammoseg.preflight import preflight

    try:
        preflight(STUDY, targets=workflow.dag_settings.targets, trains_here=not workflow.non_local_exec)
    except UserError as mistake:
        raise WorkflowError(str(mistake)) from None
