"""What a method is, what its `train` is handed (`workbench`), and the policy that it hands back. No particular method
is known here, nor any stage: what the workbench gives is loaded by functions that it is made with."""
