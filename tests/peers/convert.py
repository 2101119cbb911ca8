# SPDX-License-Identifier: MIT
"""Runs llama.cpp's own converter on folders of make_hf.py. Their tokenizers are nobody's, which
the converter would refuse; all else is left as it is. Needs its source: convert.py LLAMA_CPP
FOLDER..."""

import pathlib
import sys


def main():
    source = pathlib.Path(sys.argv[1])
    sys.path[:0] = [str(source / "gguf-py"), str(source)]
    import convert_hf_to_gguf as converter
    from conversion.base import TextModel

    find = converter.get_model_class

    def get_model_class(name, **options):
        kind = find(name, **options)
        kind.set_vocab = TextModel._set_vocab_gpt2
        return kind

    TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
    converter.get_model_class = get_model_class
    for folder in sys.argv[2:]:
        for outtype in ("f32", "f16", "q8_0"):
            sys.argv = ["convert", folder, "--outtype", outtype, "--outfile",
                        f"{folder}/{outtype}.gguf"]
            converter.main()


if __name__ == "__main__":
    main()
