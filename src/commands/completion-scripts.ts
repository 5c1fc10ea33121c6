export type Shell = 'bash' | 'zsh' | 'fish';

/**
 * The scripts only take the command line apart as their shell sees it, ask `vsimg completion SHELL -- WORD...` for the
 * rest and put the answer together: lines of words, each with a tab and a description where the shell shows those, and
 * last a line `:images`, `:files` or `:nothing` for what the shell itself knows how to complete.
 */
export const COMPLETION_SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# Completion of vsimg's command lines for bash 4.4 and later. For this shell:  eval "$(vsimg completion bash)"
# For good:  vsimg completion bash > ~/.local/share/bash-completion/completions/vsimg
_vsimg() {
  local line=$COMP_LINE typed=\${2//[\\\\\\'\\"]/} word rest start i
  local -a words=() lines=()
  # Bash ends words at @, = and : too; what follows without a space belongs to the word before.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    rest=\${line#"\${line%%[![:space:]]*}"}
    if [[ $i -gt 0 && -n $word && $rest == "$line" && $rest == "$word"* ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
    line=\${rest#"$word"}
  done
  for i in "\${!words[@]}"; do words[i]=\${words[i]//[\\\\\\'\\"]/}; done
  # Only what bash calls the current word is replaced, up to the cursor.
  if [[ \${words[-1]} != *"$typed" ]]; then words[-1]=$typed; fi
  mapfile -t lines < <(vsimg completion bash -- "\${words[@]:1}" 2>/dev/null </dev/null)
  COMPREPLY=()
  if [[ \${#lines[@]} -eq 0 ]]; then return; fi
  for word in "\${lines[@]::\${#lines[@]}-1}"; do
    # What was typed stays as it is; names come from the image, which may be anybody's, and are quoted.
    rest=\${word#"\${words[-1]}"}
    if [[ -n $rest ]]; then printf -v rest %q "$rest"; fi
    COMPREPLY+=("$2$rest")
  done
  case \${lines[-1]} in
    :files) compopt -o default ;;
    :images)
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(
        compgen -d -- "$2"
        compgen -f -X '!*.vsi' -- "$2"
      )
      compopt -o filenames -o default
      ;;
  esac
}
complete -F _vsimg vsimg
`,
  zsh: `#compdef vsimg
# Completion of vsimg's command lines for zsh. For this shell, behind compinit:  eval "$(vsimg completion zsh)"
# For good, in a directory of $fpath:  vsimg completion zsh > ~/.zfunc/_vsimg
_vsimg() {
  local -a asked lines described
  local line word status_line
  if (( CURRENT > 2 )); then asked=("\${(@Q)words[2,CURRENT-1]}"); fi
  lines=("\${(@f)$(vsimg completion zsh -- "\${asked[@]}" "\${(Q)PREFIX}" 2>/dev/null </dev/null)}")
  status_line=$lines[-1]
  # The shell quotes what it adds, so that it must not add again what is there.
  if [[ $PREFIX == *@* ]]; then compset -P '*@'; elif [[ $PREFIX == --*=* ]]; then compset -P '*='; fi
  for line in "\${(@)lines[1,-2]}"; do
    word=\${\${line%%$'\\t'*}#"\${(Q)IPREFIX}"}
    described+=("\${word//:/\\\\:}:\${line#*$'\\t'}")
  done
  case $status_line in
    :images) _files -g '*.vsi(-.)' ;;
    :files) _files ;;
    *) _describe -t words 'vsimg' described ;;
  esac
}
if [[ $funcstack[1] == _vsimg ]]; then _vsimg "$@"; else compdef _vsimg vsimg; fi
`,
  fish: `# Completion of vsimg's command lines for fish. For this shell:  vsimg completion fish | source
# For good:  vsimg completion fish > ~/.config/fish/completions/vsimg.fish
function __vsimg_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l plain (string unescape -- "$current"; or printf %s "$current")
    set -l lines (vsimg completion fish -- $words[2..-1] "$plain" 2>/dev/null </dev/null)
    switch "$lines[-1]"
        case :images
            __fish_complete_suffix .vsi
        case :files
            __fish_complete_path "$current"
        case '*'
            if set -q lines[2]
                printf '%s\\n' $lines[1..-2]
            end
    end
end
complete -c vsimg -f -a '(__vsimg_complete)'
`,
};
