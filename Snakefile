from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


configfile: Path(workflow.basedir) / "config" / "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/artefacts.smk"
include: "workflow/rules/preflight.smk"
include: "workflow/rules/index.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/render.smk"
include: "workflow/rules/leakage.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/targets.smk"


rule all:
    default_target: True
    input:
        everything,
