# Before the first job: what would fail hours later, or go stale in silence. Not inside the jobs.
from snakemake.persistence import RECORD_FORMAT_VERSION
from snakemake_interface_executor_plugins.settings import ExecMode

from mammoseg.rebuild.snakemake_state import Bookkeeping

LOOK_ONLY = {"relock", "withdraw", "accept", "verify", "why"}  # targets that need neither archive nor network nor GPU
BOOKKEEPING = Bookkeeping(STUDY.results, Path(".snakemake"), RECORD_FORMAT_VERSION)


@lru_cache
def before_planning():
    """Called while the jobs are worked out: only then is it known which targets are asked for, and how.

    Ends the program by itself, for of a job whose outputs stand there Snakemake ignores that its inputs raise an error.
    """
    asked = workflow.dag_settings
    if workflow.exec_mode != ExecMode.DEFAULT:
        return
    if STUDY.artefact:
        sys.exit("mammoseg: config key artefact belongs to the target why: snakemake why --config artefact=…")
    if BOOKKEEPING.lost and not asked.forceall:
        sys.exit(
            f"mammoseg: Snakemake's records of {R} are not in {Path('.snakemake').resolve()} (results moved or copied, .snakemake "
            "deleted, or Snakemake upgraded), so it would miss every change: run once with --forceall, a pass that keeps what is "
            "current"
        )
    if STUDY.rebuild and not (asked.forceall or asked.forcerun or asked.forcetargets):
        workflow.dag.forcerules.update(workflow.rules)


onstart:
    if not (workflow.dag_settings.targets and set(workflow.dag_settings.targets) <= LOOK_ONLY):
        from mammoseg.preflight import preflight

        try:
            preflight(STUDY, targets=workflow.dag_settings.targets, trains_here=not workflow.non_local_exec)
        except UserError as mistake:
            raise WorkflowError(str(mistake)) from None
        BOOKKEEPING.start()


onsuccess:
    asked = workflow.dag_settings
    if asked.forceall and set(asked.targets) <= {"all", "report"} and not (asked.until or asked.omit_from):
        BOOKKEEPING.found()
