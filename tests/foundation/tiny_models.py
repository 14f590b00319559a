"""Builds tiny random models of the very classes that real ones use, as folders."""

import json
from pathlib import Path

import torch

_TEXT = (
    "a the of picture detailed flower with petals red blue yellow round pointed five three what "
    "colour are shape how many there pattern do have is centre like question answer : ? , . and"
)
WORDS = _TEXT.split()
IMAGE_SIZE = 16
PATCH = 4
CONTEXT = 12
EMBED = 8
WIDTH = 32


def tokenizer(max_length: int = CONTEXT):
    """A word-level tokenizer that frames texts as BERT does; [SEP] has the highest id."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", *WORDS, "[SEP]"]
    vocabulary = {name: index for index, name in enumerate(names)}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=max_length,
    )


def build_open_clip(folder: Path, seed: int = 0, *, custom_text: bool = False) -> Path:
    """An open_clip folder: config, safetensors, tokenizer."""
    from open_clip.model import CLIP, CustomTextCLIP
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    words = tokenizer()
    config = {
        "embed_dim": EMBED,
        "vision_cfg": {
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH,
            "layers": 2,
            "width": WIDTH,
            "head_width": 16,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": len(words),
            "width": WIDTH,
            "heads": 2,
            "layers": 2,
            "hf_tokenizer_name": "local",
        },
    }
    model = (CustomTextCLIP if custom_text else CLIP)(**config)
    folder.mkdir(parents=True)
    words.save_pretrained(folder)
    if custom_text:
        config["custom_text"] = True
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3}
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    (folder / "open_clip_config.json").write_text(text)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def build_blip(folder: Path, seed: int = 0) -> Path:
    """A transformers folder of the BLIP class with its processor."""
    from transformers import (
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    torch.manual_seed(seed)
    words = tokenizer(max_length=64)
    config = BlipConfig(
        text_config={
            "vocab_size": len(words),
            "hidden_size": WIDTH,
            "encoder_hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 24,
            "bos_token_id": words.cls_token_id,
            "sep_token_id": words.sep_token_id,
            "eos_token_id": words.sep_token_id,
            "pad_token_id": words.pad_token_id,
            "initializer_range": 0.5,
        },
        vision_config={
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": IMAGE_SIZE,
            "patch_size": PATCH,
            "initializer_range": 0.5,
        },
        projection_dim=WIDTH,
    )
    BlipForConditionalGeneration(config).save_pretrained(folder)
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    BlipProcessor(BlipImageProcessor(size=size), words).save_pretrained(folder)
    return folder


def _vae():
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        sample_size=IMAGE_SIZE,
    )


def build_pixart(folder: Path, seed: int = 0) -> Path:
    """A diffusers folder of the PixArt class, with the arguments that it was made for."""
    from diffusers import DPMSolverMultistepScheduler, PixArtAlphaPipeline, PixArtTransformer2DModel
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(seed)
    words = tokenizer()
    text_encoder = T5EncoderModel(
        T5Config(vocab_size=len(words), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )
    transformer = PixArtTransformer2DModel(
        sample_size=IMAGE_SIZE // 2,
        patch_size=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        cross_attention_dim=16,
        caption_channels=16,
        use_additional_conditions=False,
    )
    PixArtAlphaPipeline(
        tokenizer=words,
        text_encoder=text_encoder,
        vae=_vae(),
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    ).save_pretrained(folder)
    (folder / "fedmvp.json").write_text(
        json.dumps({"call": {"num_inference_steps": 2, "guidance_scale": 1.0}})
    )
    return folder


def build_stable_diffusion(folder: Path, seed: int = 0) -> Path:
    """A diffusers folder of the Stable Diffusion class, without settings of its own."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    words = tokenizer()
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=CONTEXT,
            bos_token_id=words.cls_token_id,
            eos_token_id=words.sep_token_id,
            pad_token_id=words.pad_token_id,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=IMAGE_SIZE // 2,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
    )
    StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=text_encoder,
        tokenizer=words,
        unet=unet,
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def _vision(**more):
    return {
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH,
        **more,
    }


def _language(words, **more):
    return {
        "vocab_size": len(words),
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": CONTEXT,
        "pad_token_id": words.pad_token_id,
        "bos_token_id": words.cls_token_id,
        "eos_token_id": words.sep_token_id,
        **more,
    }


def _save_image_processor(folder: Path):
    from transformers import CLIPImageProcessor

    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False).save_pretrained(folder)


def build_hf_clip(folder: Path, seed: int = 0) -> Path:
    """A transformers folder of the CLIP class with tokenizer and preprocessing."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(seed)
    words = tokenizer()
    config = CLIPConfig(text_config=_language(words), vision_config=_vision(), projection_dim=EMBED)
    CLIPModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    _save_image_processor(folder)
    return folder


def build_siglip(folder: Path, seed: int = 0) -> Path:
    """A transformers folder of the SigLIP class."""
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(seed)
    words = tokenizer()
    text = _language(words, projection_size=WIDTH)
    SiglipModel(SiglipConfig(text_config=text, vision_config=_vision())).save_pretrained(folder)
    words.save_pretrained(folder)
    _save_image_processor(folder)
    return folder


def build_vit(folder: Path, seed: int = 0) -> Path:
    """A ViT as it is published for classification: without the weights of a pooler."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(seed)
    ViTForImageClassification(ViTConfig(**_vision(num_labels=3))).save_pretrained(folder)
    _save_image_processor(folder)
    return folder


def build_dino_with_registers(folder: Path, seed: int = 0) -> Path:
    """A DINOv2 with two register tokens between class token and patches."""
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(seed)
    config = Dinov2WithRegistersConfig(**_vision(num_register_tokens=2, mlp_ratio=1))
    Dinov2WithRegistersModel(config).save_pretrained(folder)
    _save_image_processor(folder)
    return folder


def build_convnext(folder: Path, seed: int = 0) -> Path:
    """A convolutional network of transformers, whose tokens are a map already."""
    from transformers import ConvNextConfig, ConvNextModel

    torch.manual_seed(seed)
    config = ConvNextConfig(
        hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, patch_size=2, image_size=IMAGE_SIZE
    )
    ConvNextModel(config).save_pretrained(folder)
    _save_image_processor(folder)
    return folder


def build_bert(folder: Path, seed: int = 0, pooling: str | None = None) -> Path:
    """A BERT; with `pooling` in the layout of a sentence encoder ("cls", "mean" or "max")."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    words = tokenizer()
    BertModel(BertConfig(**_language(words)), add_pooling_layer=False).save_pretrained(folder)
    words.save_pretrained(folder)
    if pooling:
        (folder / "1_Pooling").mkdir()
        names = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
        modes = {f"pooling_mode_{full}": name == pooling for name, full in names.items()}
        modes["word_embedding_dimension"] = WIDTH
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    return folder


def build_timm(folder: Path, name: str = "test_efficientnet", seed: int = 0, **changes) -> Path:
    """A timm folder: config.json in timm's own format, safetensors in half precision."""
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    model = timm.create_model(name, pretrained=False, num_classes=5)
    folder.mkdir(parents=True)
    config = {
        "architecture": name,
        "num_classes": 5,
        "pretrained_cfg": {
            "input_size": [3, 96, 96] if "vit" not in name else [3, 160, 160],
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
        },
    }
    (folder / "config.json").write_text(json.dumps(config | changes))
    state = {
        key: (t.half() if t.is_floating_point() else t).contiguous()
        for key, t in model.state_dict().items()
    }
    save_file(state, folder / "model.safetensors")
    return folder


def build_blip2(folder: Path, seed: int = 0, *, seq2seq: bool = False) -> Path:
    """A transformers folder of the BLIP-2 class, with an OPT or a T5 as its language model."""
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        BlipImageProcessor,
    )

    torch.manual_seed(seed)
    words = tokenizer(max_length=64)
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    processor = Blip2Processor(BlipImageProcessor(size=size), words, num_query_tokens=3)
    image_token = processor.tokenizer.convert_tokens_to_ids("<image>")
    text = {"vocab_size": len(processor.tokenizer), "pad_token_id": words.pad_token_id}
    text["bos_token_id"], text["eos_token_id"] = words.cls_token_id, words.sep_token_id
    if seq2seq:
        text |= {"model_type": "t5", "d_model": WIDTH, "d_kv": 8, "d_ff": 16, "num_layers": 1}
        text |= {"num_heads": 2, "decoder_start_token_id": words.pad_token_id}
    else:
        text |= {"model_type": "opt", "hidden_size": WIDTH, "ffn_dim": WIDTH, "init_std": 0.5}
        text |= {"num_hidden_layers": 1, "num_attention_heads": 2, "word_embed_proj_dim": WIDTH}
        text |= {"max_position_embeddings": 128}
    config = Blip2Config(
        vision_config=_vision(),
        qformer_config={
            "vocab_size": 10,
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "encoder_hidden_size": WIDTH,
        },
        text_config=text,
        num_query_tokens=3,
        image_token_index=image_token,
    )
    Blip2ForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


_CHAT = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %} {{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %} answer :"
)


def build_llava(folder: Path, seed: int = 0, *, chat: bool = True) -> Path:
    """A transformers folder of the LLaVA class: an image-text-to-text model with chats."""
    from transformers import (
        CLIPImageProcessor,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    torch.manual_seed(seed)
    words = tokenizer(max_length=64)
    words.add_tokens(["<image>"], special_tokens=True)
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    processor = LlavaProcessor(
        CLIPImageProcessor(size=size, crop_size=size),
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_CHAT if chat else None,
    )
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **_vision()},
        text_config={
            "model_type": "llama",
            **_language(words, max_position_embeddings=128, initializer_range=0.5),
        },
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
