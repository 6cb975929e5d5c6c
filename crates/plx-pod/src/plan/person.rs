//! A person's container: its words, its variables, where it starts.

use super::Planner;
use crate::environment::{self, Vars};
use crate::words;
use plx_contract::Env;
use plx_contract::operation::{self, EnvVar};
use plx_runtime::Failure;
use std::path::PathBuf;

impl<E: Env> Planner<'_, E> {
    /// The words of a person's container; its variables are added.
    pub(super) fn person(
        &self,
        container: &operation::Container,
        path: &[&str],
        vars: &mut Vars,
    ) -> Result<Vec<String>, Failure> {
        self.container_env(container, path, vars)?;
        let Some(words) = words::program(container.command.as_ref(), container.args.as_ref()) else {
            return Err(self
                .loaded
                .source
                .wrong(path, "the container has no command")
                .with_next("images are not run here: give `command`, as a list or one string"));
        };
        let place = self.loaded.source.at(&[path, &["command"]].concat());
        words.iter().map(|word| self.text(&format!("{place}: command or args"), word)).collect()
    }

    /// The variables of a container as its author wrote them.
    pub(super) fn container_env(
        &self,
        container: &operation::Container,
        path: &[&str],
        vars: &mut Vars,
    ) -> Result<(), Failure> {
        for (index, var) in container.env.iter().flatten().enumerate() {
            let index = index.to_string();
            let place = [path, &["env", index.as_str()]].concat();
            let value = self.value_of(var, &place)?;
            vars.insert(var.name.clone(), value);
        }
        Ok(())
    }

    fn value_of(&self, var: &EnvVar, place: &[&str]) -> Result<String, Failure> {
        let source = &self.loaded.source;
        let name = &var.name;
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(source.wrong(place, format!("`{name}` cannot be the name of a variable")));
        }
        if var.value_from.is_some() {
            return self.caller.get(name).ok_or_else(|| {
                source
                    .wrong(place, format!("variable {name}: `valueFrom` needs a cluster"))
                    .with_next(format!("set {name} in the environment of plx-pod"))
            });
        }
        let Some(value) = var.value.as_ref().map_or(Some(String::new()), environment::text) else {
            return Err(source.wrong(place, format!("variable {name}: the value is no text")));
        };
        self.text(&format!("{}: variable {name}", source.at(place)), &value)
    }

    /// Where a container starts.
    pub(super) fn dir(
        &self,
        container: &operation::Container,
        path: &[&str],
    ) -> Result<Option<PathBuf>, Failure> {
        let place = self.loaded.source.at(&[path, &["workingDir"]].concat());
        let asked = container.working_dir.as_deref().filter(|dir| !dir.is_empty());
        let dir = asked.map(|dir| self.text(&format!("{place}: workingDir"), dir)).transpose()?;
        Ok(dir.map(PathBuf::from))
    }
}
