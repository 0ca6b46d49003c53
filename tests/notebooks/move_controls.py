# Runs after the last cell of a notebook: moves every control that is alive, through Python, and prints how many. An
# explorer that shows an error fails it, as does a callback that raises.
import ipywidgets
from ipywidgets.widgets import widget as widget_module


def move(control) -> bool:
    """Take one control through its ends, options or states; return False for a kind that has no rule here."""
    if isinstance(control, ipywidgets.Button):
        control.click()
    elif control.has_trait("options"):
        several = isinstance(control.index, tuple)
        for index in range(len(control.options)):
            control.index = (index,) * max(len(control.index), 1) if several else index
    elif control.has_trait("min") and control.has_trait("max"):
        for end in (control.min, control.max):
            power = control.base**end if control.has_trait("base") else end
            control.value = (power, power) if isinstance(control.value, tuple) else power
    elif isinstance(getattr(control, "value", None), bool):
        for _ in range(2):
            control.value = not control.value
    elif isinstance(control, (ipywidgets.Text, ipywidgets.Textarea)):
        control.value += "x"
    else:
        return False
    return True


# ipywidgets 8 keeps the living widgets in the module, ipywidgets 7 in the class
alive = widget_module._instances if hasattr(widget_module, "_instances") else ipywidgets.Widget.widgets
controls = [widget for widget in alive.values() if widget.has_trait("disabled") and not widget.disabled]
unknown = {type(control).__name__ for control in controls if not move(control)}
assert not unknown, f"no rule to move {unknown}; write one in move_controls.py"
alerts = [str(widget.value) for widget in alive.values() if 'role="alert"' in str(getattr(widget, "value", ""))]
assert not alerts, alerts
print(f"moved {len(controls)} controls")
