"""Software, hardware and time."""

from described_study import section


def test_software_hardware_and_time(small):
    first, second = section(small.text(), "Software and hardware")
    assert "mammoseg 0.1.0 (networks trained at commit 0123456789ab), whose" in first
    assert first.endswith("on Python 3.11.7, PyTorch 2.1.0, SOLT 0.2.1 and pydicom 3.0.")
    assert second == (
        "Each network was trained on 2 cores of a CPU (Some CPU), under Linux x86_64. Training took 6 h 40 min, summed over all 8 "
        "trainings, with a peak of 1.5 GB of memory each."
    )
    small.commit += "-dirty"
    small.cost |= {"resumed": 2}
    gpu = {"gpu": "Some GPU", "gpu_memory_mb": 24_100, "cuda": "12.4", "cudnn": 90100, "precision": "bf16-mixed"}
    small.hardware = [small.hardware[0] | gpu]
    text = small.text()
    assert "commit 0123456789ab with local changes" in text
    assert "trained on one Some GPU (24 GB; CUDA 12.4, cuDNN 90100), under" in text
    assert "1.5 GB of GPU memory each. Of these, 8 were broken off" in text
    assert "computed in mixed precision (bfloat16, losses in 32 bits)" in text
    small.commit = {"0": "0123456789abcdef0123", "1": "fedcba98765432100123"}
    assert "commits 0123456789ab and fedcba987654)" in small.text()
    small.commit = None
    assert "commit" not in small.text()
