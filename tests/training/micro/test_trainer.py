from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from napari_samhq.errors import CheckpointError, FileError
from napari_samhq.model.config import (
    ConvEncoderConfig,
    SamHQConfig,
    SamHQDenseHeadConfig,
    SamHQMaskDecoderConfig,
    SamHQPromptEncoderConfig,
)
from napari_samhq.model.sam_hq import SamHQModel
from napari_samhq.training.micro import recipe as micro
from napari_samhq.training.micro.manifest import read_manifest
from napari_samhq.training.micro.pool import BatchPlan, Pool
from napari_samhq.training.micro.schedule import Budget, Phase, TrainerConfig
from napari_samhq.training.micro.start import aligned_start, identity_start
from napari_samhq.training.micro.trainer import Saved, StepDone, Trainer
from napari_samhq.training.states import read_state, write_state


def tiny_config():
    vision = ConvEncoderConfig(
        output_channels=16, widths=[4, 4, 8, 8], depths=[1, 1, 1], attention_depth=1,
        attention_heads=2, num_pos_feats=8,
    )  # fmt: skip
    return SamHQConfig(
        vision_config=vision,
        prompt_encoder_config=SamHQPromptEncoderConfig(
            hidden_size=16, image_size=512, patch_size=8, mask_input_channels=4
        ),
        mask_decoder_config=SamHQMaskDecoderConfig(
            hidden_size=16,
            mlp_dim=16,
            num_attention_heads=2,
            iou_head_hidden_dim=16,
            vit_dim=vision.early_channels,
        ),
        dense_head_config=SamHQDenseHeadConfig(hidden_size=8, num_blocks=1),
    )


def tiny_model():
    torch.manual_seed(0)
    model = SamHQModel(tiny_config())
    aligned_start(model)
    return model


def tiny_trainer(folder, out, steps=4, **changes):
    pool = Pool(tuple(read_manifest(folder)), (("discs", 1.0), ("synthetic", 1.0)), 2)
    phases = (
        Phase(0.3, (BatchPlan(2, 64, 2),), prompts=False, queries=1.0),
        Phase(1.0, (BatchPlan(2, 64, 4),), rounds=2),
    )
    config = TrainerConfig(Budget(steps=steps), phases, warmup_steps=2, prefetch=False, mixed=False)
    return Trainer(tiny_model(), pool, replace(config, **changes), out, torch.device("cpu"))


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def test_two_and_two_steps_are_four(data_folder, tmp_path):
    whole = tiny_trainer(data_folder, tmp_path / "whole")
    list(whole.run())
    first = tiny_trainer(data_folder, tmp_path / "parts")
    for event in first.run():
        if isinstance(event, StepDone) and event.step == 2:
            first.stop()
    second = tiny_trainer(data_folder, tmp_path / "parts")
    second.restore(read_state(second.path))
    assert second.step == 2
    list(second.run())
    assert second.step == 4
    assert same(whole.model.state_dict(), second.model.state_dict())
    assert same(whole.ema.state_dict(), second.ema.state_dict())
    assert same(whole.queries.state_dict(), second.queries.state_dict())


def test_events_tell_what_happens(data_folder, tmp_path):
    events = list(tiny_trainer(data_folder, tmp_path).run())
    steps = [e for e in events if isinstance(e, StepDone)]
    assert [e.step for e in steps] == [1, 2, 3, 4]
    assert steps[-1].progress == 1
    assert "query_iou" in steps[0].values
    assert {"box0", "box1", "click0", "click1"} <= steps[-1].values.keys()
    assert isinstance(events[-1], Saved)
    assert events[-1].path.is_file()


def test_training_learns_one_picture(data_folder, tmp_path):
    trainer = tiny_trainer(data_folder, tmp_path, steps=60, learning_rate=1e-2)
    phase = Phase(1.0, (BatchPlan(2, 64, 4),), rounds=1)
    from napari_samhq.training.micro.pool import BatchMaker

    batch = BatchMaker(trainer.pool).make(0, phase.plans[0])
    losses = [trainer.train_step(batch, phase)["loss"] for _ in range(60)]
    assert sum(losses[-5:]) < 0.85 * sum(losses[:5]), losses


def test_a_killed_write_leaves_the_old_state(tmp_path, monkeypatch):
    path = tmp_path / "state.pt"
    write_state({"step": 1}, path)

    def half(state, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        write_state({"step": 2}, path)
    assert read_state(path) == {"step": 1}


@pytest.mark.parametrize("content", [None, b"", b"no state"])
def test_a_damaged_state_is_refused(tmp_path, content):
    path = tmp_path / "state.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="no training state"):
        read_state(path)


def test_budgets():
    assert Budget(steps=10).progress(5, 0) == 0.5
    assert Budget(minutes=2).progress(10**6, 60) == 0.5
    assert Budget(steps=10, minutes=1).progress(1, 1000) == 1


@pytest.mark.parametrize("place", [(100.0, 200.0), (300.0, 52.0), (484.0, 484.0)])
def test_attention_starts_at_the_prompt(place):
    torch.manual_seed(0)
    model = SamHQModel(micro.micro_config()).eval()
    aligned_start(model)
    attention = model.mask_decoder.transformer.layers[0].cross_attn_token_to_image
    seen = []

    def look(module, inputs):
        q, k = module.q_proj(inputs[0]), module.k_proj(inputs[1])
        q, k = (x.unflatten(-1, (module.heads, -1)).transpose(1, 2) for x in (q, k))
        seen.append((q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1).mean(1)[0])

    attention.register_forward_pre_hook(look)
    with torch.inference_mode():
        features = model.encode_image(torch.randn(1, 3, 512, 512))
        model.decode(features, points_xy=torch.tensor([[place]]))
    peak = int(seen[0].argmax(-1)[6])  # of the prompt's own token, after the six output tokens
    assert abs(peak % 64 * 8 + 4 - place[0]) <= 8
    assert abs(peak // 64 * 8 + 4 - place[1]) <= 8


def test_the_command_trains_and_resumes(data_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(micro, "micro_config", tiny_config)
    monkeypatch.setattr(micro, "SOURCE_WEIGHTS", (("discs", 1.0),))
    monkeypatch.setattr(micro, "PHASES", (Phase(1.0, (BatchPlan(1, 64, 2),)),))
    arguments = ["--data", str(data_folder), "--out", str(tmp_path)]
    assert micro.main([*arguments, "--steps", "1"]) == 0
    assert micro.main([*arguments, "--steps", "2", "--resume"]) == 0
    assert read_state(tmp_path / "state.pt")["step"] == 2
    assert SamHQModel.from_pretrained(tmp_path / "weights").config == tiny_config()


def test_a_run_begins_with_the_weights_of_another(data_folder, tmp_path, monkeypatch):
    """A model with prompt maps takes over the rest from one without."""
    first = tiny_trainer(data_folder, tmp_path / "first")
    list(first.run())
    with_maps = tiny_config()
    with_maps.prompt_encoder_config.prompt_maps = True
    monkeypatch.setattr(micro, "micro_config", lambda: with_maps)
    monkeypatch.setattr(micro, "SOURCE_WEIGHTS", (("discs", 1.0),))
    budget = Budget(steps=1)
    second = micro.micro_trainer(data_folder, tmp_path, budget, start=first.path)
    assert second.step == 0
    assert same(first.queries.state_dict(), second.queries.state_dict())
    for model in (second.model, second.ema):
        taken = model.state_dict()
        assert same(first.ema.state_dict(), {n: taken[n] for n in first.ema.state_dict()})
        assert len(taken) > len(first.ema.state_dict())


def test_a_run_begins_with_exported_weights(data_folder, tmp_path, monkeypatch):
    """They have no heads for dense targets, and are in half precision."""
    model = tiny_model()
    micro.export(model, tmp_path / "weights")
    monkeypatch.setattr(micro, "micro_config", tiny_config)
    monkeypatch.setattr(micro, "SOURCE_WEIGHTS", (("discs", 1.0),))
    monkeypatch.setattr(
        micro,
        "FURTHER_PHASES",
        (Phase(1.0, (BatchPlan(1, 64, 2),), dense=0.0, fixed_statistics=True),),
    )
    arguments = ["--data", str(data_folder), "--out", str(tmp_path / "out"), "--steps", "1"]
    assert micro.main([*arguments, "--begin-with", str(tmp_path / "weights")]) == 0
    after = SamHQModel.from_pretrained(tmp_path / "out" / "weights").state_dict()
    statistics = [name for name in after if "running" in name]
    assert statistics
    for name, before in model.state_dict().items():
        torch.testing.assert_close(after[name], before, atol=2e-3, rtol=1e-2)
    assert all(torch.equal(after[name], model.state_dict()[name]) for name in statistics)


def test_an_empty_folder_is_no_start(data_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(micro, "micro_config", tiny_config)
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        micro.micro_trainer(data_folder, tmp_path, Budget(steps=1), start=tmp_path)


@pytest.mark.filterwarnings("ignore:.*dropped. repeated")  # nothing was learned in one step
def test_a_source_is_left_out_and_measured(data_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(micro, "micro_config", tiny_config)
    monkeypatch.setattr(micro, "SOURCE_WEIGHTS", (("discs", 1.0), ("stack", 1.0)))
    monkeypatch.setattr(micro, "PHASES", (Phase(1.0, (BatchPlan(1, 64, 2),)),))
    monkeypatch.setattr(micro, "FURTHER_PHASES", micro.PHASES)
    arguments = ["--data", str(data_folder), "--steps", "1"]
    first = [*arguments, "--out", str(tmp_path), "--leave-out", "stack"]
    assert micro.main(first) == 0
    assert read_state(tmp_path / "state.pt")["sources"] == ["discs"]
    assert "| stack | " in capsys.readouterr().out
    assert "| stack | " in (tmp_path / "left-out.md").read_text()
    # A further run may leave out the same source, but not one that the first has seen.
    further = ["--out", str(tmp_path / "b"), "--begin-with", str(tmp_path / "state.pt")]
    assert micro.main([*arguments, *further, "--leave-out", "stack"]) == 0
    # Exported weights tell what they have seen, too; of others nobody knows.
    micro.export(tiny_model(), tmp_path / "others")
    exported = ["--out", str(tmp_path / "c"), "--begin-with", str(tmp_path / "weights")]
    assert micro.main([*arguments, *exported, "--leave-out", "stack"]) == 0
    for start, source in (("state.pt", "discs"), ("weights", "discs"), ("others", "stack")):
        with pytest.raises(CheckpointError, match=f"may have learned from {source}"):
            micro.micro_trainer(
                data_folder, tmp_path, Budget(steps=1), start=tmp_path / start, left_out=[source]
            )


@pytest.mark.parametrize(
    ("sources", "named"),
    [(["disks"], "'disks'"), (["disks", "stack"], "'disks'"), (["stack", "discs"], "'discs', 's")],
)
def test_only_sources_that_are_there_can_be_left_out_and_not_all(
    data_folder, tmp_path, sources, named
):
    with pytest.raises(FileError, match=f"{named}.* cannot be left out.* discs, stack; name"):
        micro.micro_trainer(data_folder, tmp_path, Budget(steps=1), left_out=sources)


@pytest.mark.filterwarnings("ignore:.*dropped. repeated")
def test_a_run_that_saw_a_source_cannot_go_on_without_it(data_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(micro, "micro_config", tiny_config)
    monkeypatch.setattr(micro, "SOURCE_WEIGHTS", (("discs", 1.0), ("stack", 1.0)))
    monkeypatch.setattr(micro, "PHASES", (Phase(1.0, (BatchPlan(1, 64, 2),)),))
    arguments = ["--data", str(data_folder), "--out", str(tmp_path), "--steps", "1"]
    assert micro.main(arguments) == 0
    before = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(CheckpointError, match="may have learned from stack"):
        micro.main([*arguments, "--resume", "--leave-out", "stack"])
    assert (tmp_path / "state.pt").read_bytes() == before


def test_several_sources_can_be_left_out():
    records = [SimpleNamespace(source=name) for name in ("a", "b", "c", "a")]
    assert [record.source for record in micro._without(records, ["a", "c"])] == ["b"]


def test_standing_still_is_no_work(data_folder, tmp_path, monkeypatch):
    """A process that was stopped for minutes has not used its budget with it."""
    trainer = tiny_trainer(data_folder, tmp_path, steps=14)
    clock = iter(range(10**6))
    now = {"seconds": 0.0}

    def monotonic():
        now["seconds"] += 1.0 if next(clock) != 40 else 3600.0
        return now["seconds"]

    monkeypatch.setattr("napari_samhq.training.micro.trainer.time.monotonic", monotonic)
    steps = [event for event in trainer.run() if isinstance(event, StepDone)]
    assert now["seconds"] > 3600
    assert len(steps) == 14
    assert steps[-1].seconds < 60


def test_a_state_of_another_model_is_no_start(data_folder, tmp_path):
    trainer = tiny_trainer(data_folder, tmp_path)
    state = trainer.state()
    state["ema"] = {"mask_decoder.other": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="another model"):
        trainer.start_from(state)


def test_a_deeper_model_answers_at_first_as_the_one_it_begins_with():
    shallow = tiny_model().eval()
    config = tiny_config()
    config.vision_config = replace(config.vision_config, depths=[2, 1, 3], attention_depth=2)
    torch.manual_seed(5)
    deep = SamHQModel(config).eval()
    known = shallow.state_dict()
    identity_start(deep, known)
    deep.load_state_dict(deep.state_dict() | known)
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        one, two = shallow.encode_image(pixels), deep.encode_image(pixels)
    assert torch.allclose(one.image_embedding, two.image_embedding, atol=1e-5)
    assert torch.allclose(one.hq_features, two.hq_features, atol=1e-5)
